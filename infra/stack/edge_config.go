package stack

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// EdgeConfig is the public entrance under domains of one's own. It is there if
// domains are, and costs money from then on (docs/infrastructure.md, Edge).
type EdgeConfig struct {
	Domains []string `json:"domains"` // hosts, such as api.example.com; the first is the one that is published
	// DNSZone is the name of an existing Cloud DNS zone of this project that
	// holds every domain, whose A records are then the program's. Without it,
	// somebody points each domain at the output edgeAddress.
	DNSZone string `json:"dnsZone"`

	MaxBodyBytes       int               `json:"maxBodyBytes"` // by Content-Length; 0 = limits.maxBodyBytes and maxAttachmentBytes together
	RateLimit          RateLimitConfig   `json:"rateLimit"`
	Webhook            EdgeWebhookConfig `json:"webhook"`
	WAF                WAFConfig         `json:"waf"`
	AdaptiveProtection bool              `json:"adaptiveProtection"` // Google's detection of floods; alerts only, without Cloud Armor Enterprise
	LogSampleRate      float64           `json:"logSampleRate"`      // share of requests that are logged, 0 to 1
	VerboseLogs        bool              `json:"verboseLogs"`        // logs say which part of a request a WAF rule matched, and so show personal data
}

// RateLimitConfig bounds what one client address may ask for, on every path but
// those of webhooks. Cloud Armor counts in each of its regions on its own, and
// approximately.
type RateLimitConfig struct {
	PerMinute    int `json:"perMinute"`    // requests; more are answered 429
	BanPerMinute int `json:"banPerMinute"` // requests beyond perMinute that get an address banned; 0 = never
	BanMinutes   int `json:"banMinutes"`   // how long
}

// EdgeWebhookConfig is for the paths of webhooks. All tenants' come from the
// same few addresses of the sender, which never sends one twice: they are
// never banned, and no pattern in their text gets them refused.
type EdgeWebhookConfig struct {
	PerMinute int      `json:"perMinute"` // requests from one address
	Sources   []string `json:"sources"`   // ranges that may call them; none = everybody, the signature decides
}

// WAFConfig selects preconfigured rules of Cloud Armor, which are the OWASP Core
// Rule Set's: https://docs.cloud.google.com/armor/docs/waf-rules
type WAFConfig struct {
	Mode        string   `json:"mode"`        // off, preview (logs what it would refuse) or enforce
	RuleSet     string   `json:"ruleSet"`     // version: v422, v33
	Rules       []string `json:"rules"`       // families, such as sqli
	Sensitivity int      `json:"sensitivity"` // 1 (fewest false alarms) to 4
	OptOut      []string `json:"optOut"`      // ids of signatures that are left out, for false alarms
}

// wafFamilies are those of every version of the rule set.
var wafFamilies = []string{
	"java", "lfi", "methodenforcement", "nodejs", "php", "protocolattack",
	"rce", "rfi", "scannerdetection", "sessionfixation", "sqli", "xss",
}

// Limits of Cloud Armor and of load balancers.
const (
	maxDomains        = 15        // certificates of one proxy
	maxBanCount       = 10_000    // requests in a rule that bans
	maxThrottleCount  = 1_000_000 // in one that does not
	maxExpression     = 2048      // characters
	maxSubexpressions = 5
	maxWebhookSources = 100 // the platform's own: 25 rules
	sourcesOfOneRule  = maxSubexpressions - 1
	lastRule          = 2147483647 // priority of the rule that every policy ends with
)

var (
	domainName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)
	zoneName   = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)
	// signatureID is an id of the rule set's, which ends in its family:
	// owasp-crs-v042200-id942110-sqli.
	signatureID = regexp.MustCompile(`^owasp-crs-v[0-9]{6}-id[0-9]{6}-([a-z]+)$`)
)

// banMinutes are the lengths of a ban that Cloud Armor offers, of which an hour
// is the longest.
var banMinutes = []int{1, 2, 3, 4, 5, 10, 15, 20, 30, 45, 60}

func defaultEdge() EdgeConfig {
	return EdgeConfig{
		// An office or a website's server sends the forms of many people.
		RateLimit:     RateLimitConfig{PerMinute: 300, BanPerMinute: 3000, BanMinutes: 10},
		Webhook:       EdgeWebhookConfig{PerMinute: 6000},
		WAF:           WAFConfig{Mode: "preview", RuleSet: "v422", Sensitivity: 1, Rules: []string{"lfi", "protocolattack", "rce", "rfi", "scannerdetection", "sqli", "xss"}},
		LogSampleRate: 1,
	}
}

func (c EdgeConfig) validate(limits LimitsConfig, errs *problems) {
	if len(c.Domains) == 0 {
		return
	}
	const path = "ingestion:edge"
	for i, domain := range c.Domains {
		at := at(path+".domains", i)
		switch {
		case len(domain) > 253 || !domainName.MatchString(domain):
			errs.add(at, "must be a host name in lower case without a wildcard, such as api.example.com, not %q", domain)
		case slices.Contains(c.Domains[:i], domain):
			errs.add(at, "%s is there twice", domain)
		}
	}
	if len(c.Domains) > maxDomains {
		errs.add(path+".domains", "must be at most %d: a load balancer has no more certificates", maxDomains)
	} else if n := len(hostExpression(c.Domains)); n > maxExpression {
		errs.add(path+".domains", "are too long for one rule: %d of %d characters", n, maxExpression)
	}
	if c.DNSZone != "" && !zoneName.MatchString(c.DNSZone) {
		errs.add(path+".dnsZone", "must be the name of a Cloud DNS zone, which is not its domain, not %q", c.DNSZone)
	}
	if c.MaxBodyBytes != 0 && c.MaxBodyBytes < limits.largestBody() {
		errs.add(path+".maxBodyBytes", "must be 0 or at least limits.maxBodyBytes and limits.maxAttachmentBytes together (%d), not %d", limits.largestBody(), c.MaxBodyBytes)
	}
	if c.LogSampleRate < 0 || c.LogSampleRate > 1 {
		errs.add(path+".logSampleRate", "must be 0 to 1, not %v", c.LogSampleRate)
	}
	c.RateLimit.validate(path+".rateLimit", errs)
	c.Webhook.validate(path+".webhook", errs)
	public, err := publicInterface(openAPI)
	if err != nil {
		errs.addAll(err)
	}
	c.WAF.validate(path+".waf", matches("request.path", public.webhooks...), errs)
}

func (c RateLimitConfig) validate(path string, errs *problems) {
	most := maxThrottleCount
	if c.BanPerMinute != 0 {
		most = maxBanCount
		if c.BanPerMinute < 1 || c.BanPerMinute > maxBanCount {
			errs.add(path+".banPerMinute", "must be 0 (never) to %d, not %d", maxBanCount, c.BanPerMinute)
		}
		if !slices.Contains(banMinutes, c.BanMinutes) {
			errs.add(path+".banMinutes", "must be one of %v, not %d", banMinutes, c.BanMinutes)
		}
	}
	if c.PerMinute < 1 || c.PerMinute > most {
		errs.add(path+".perMinute", "must be 1 to %d, not %d", most, c.PerMinute)
	}
}

func (c EdgeWebhookConfig) validate(path string, errs *problems) {
	if c.PerMinute < 1 || c.PerMinute > maxThrottleCount {
		errs.add(path+".perMinute", "must be 1 to %d, not %d", maxThrottleCount, c.PerMinute)
	}
	if len(c.Sources) > maxWebhookSources {
		errs.add(path+".sources", "must be at most %d ranges", maxWebhookSources)
	}
	var seen []netip.Prefix
	for i, source := range c.Sources {
		at := at(path+".sources", i)
		prefix, err := netip.ParsePrefix(source)
		if err != nil || prefix != prefix.Masked() {
			errs.add(at, "must be a range such as 198.51.100.0/24, or /32 for one address, not %q", source)
			continue
		}
		if prefix.Bits() == 0 {
			errs.add(at, "%s is everybody; leave sources empty for that", source)
		}
		if j := slices.IndexFunc(seen, prefix.Overlaps); j >= 0 {
			errs.add(at, "%s overlaps %s", source, seen[j])
		}
		seen = append(seen, prefix)
	}
}

// validate checks the rules' config, given the expression of webhooks' paths.
func (c WAFConfig) validate(path, webhooks string, errs *problems) {
	if !slices.Contains([]string{"off", "preview", "enforce"}, c.Mode) {
		errs.add(path+".mode", "must be off, preview or enforce, not %q", c.Mode)
	}
	if !slices.Contains([]string{"v33", "v422"}, c.RuleSet) {
		errs.add(path+".ruleSet", "must be v422 or v33, not %q", c.RuleSet)
	}
	if c.Sensitivity < 1 || c.Sensitivity > 4 {
		errs.add(path+".sensitivity", "must be 1 to 4, not %d", c.Sensitivity)
	}
	for i, family := range c.Rules {
		at := at(path+".rules", i)
		if !slices.Contains(wafFamilies, family) {
			errs.add(at, "no such rules: %q; known are %s", family, strings.Join(wafFamilies, ", "))
		} else if slices.Contains(c.Rules[:i], family) {
			errs.add(at, "%s is there twice", family)
		}
	}
	for i, id := range c.OptOut {
		at := at(path+".optOut", i)
		if m := signatureID.FindStringSubmatch(id); m == nil {
			errs.add(at, "must be the id of a signature, such as owasp-crs-v042200-id942110-sqli, not %q", id)
		} else if !slices.Contains(c.Rules, m[1]) {
			errs.add(at, "is of %s, which waf.rules does not have", m[1])
		}
	}
	for _, family := range c.Rules {
		if n := len(c.expression(family, webhooks)); n > maxExpression {
			errs.add(path+".optOut", "are too many for the rule of %s: %d of %d characters", family, n, maxExpression)
		}
	}
}
