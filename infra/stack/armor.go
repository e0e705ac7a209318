package stack

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/compute"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gopkg.in/yaml.v3"

	"ingestion.internal/shared/topology"
)

// Priorities of the security policy's rules. The first rule that matches
// decides and no later one is asked. A rate limit matches what it lets pass
// too, so everything that refuses comes before.
const (
	hostRule          = 100
	methodRule        = 200
	bodyRule          = 300
	wafRule           = 1000 // and on, one for each family
	webhookRule       = 2000 // and on, one for every four sources
	webhookClosedRule = 2900
	rateRule          = 3000
)

// registerSecurityPolicy makes the firewall for requests. What it cannot do is
// in docs/infrastructure.md: above all, it sees a body's declared length only,
// and its WAF rules look at the first 8 KiB.
func (p *program) registerSecurityPolicy(parent pulumi.ResourceOption) (*compute.SecurityPolicy, error) {
	c := p.cfg.Edge
	rules, err := c.rules(p.cfg.Limits)
	if err != nil {
		return nil, err
	}
	args := &compute.SecurityPolicyArgs{
		Project: pulumi.String(p.cfg.Project),
		Name:    pulumi.String(app + "-edge"),
		Type:    pulumi.String("CLOUD_ARMOR"),
		Rules:   rules,
		// Without it the braces and quotes of JSON count as patterns of attack.
		AdvancedOptionsConfig: &compute.SecurityPolicyAdvancedOptionsConfigArgs{
			JsonParsing: pulumi.String("STANDARD"),
			LogLevel:    pulumi.String(map[bool]string{false: "NORMAL", true: "VERBOSE"}[c.VerboseLogs]),
		},
	}
	if c.AdaptiveProtection {
		args.AdaptiveProtectionConfig = &compute.SecurityPolicyAdaptiveProtectionConfigArgs{
			Layer7DdosDefenseConfig: &compute.SecurityPolicyAdaptiveProtectionConfigLayer7DdosDefenseConfigArgs{
				Enable: pulumi.Bool(true), RuleVisibility: pulumi.String("STANDARD"),
			},
		}
	}
	return compute.NewSecurityPolicy(p.ctx, "edge", args, parent, p.needs(apiCompute))
}

// rules lists the policy's rules in the order in which they are asked.
func (c EdgeConfig) rules(limits LimitsConfig) (compute.SecurityPolicyRuleTypeArray, error) {
	public, err := publicInterface(openAPI)
	if err != nil {
		return nil, err
	}
	webhooks := matches("request.path", public.webhooks...)
	body := max(c.MaxBodyBytes, limits.largestBody())
	rules := compute.SecurityPolicyRuleTypeArray{
		deny(hostRule, 404, "Only the hosts of this platform", hostExpression(c.Domains)),
		deny(methodRule, 403, "Only the methods of the public interface", "!"+matches("request.method", public.methods...)),
		deny(bodyRule, 403, "Bodies that declare more than the limit",
			fmt.Sprintf("has(request.headers['content-length']) && int(request.headers['content-length']) > %d", body)),
	}
	if c.WAF.Mode != "off" {
		for i, family := range c.WAF.Rules {
			rule := deny(wafRule+10*i, 403, "WAF: "+family, c.WAF.expression(family, webhooks))
			rule.Preview = pulumi.Bool(c.WAF.Mode == "preview")
			rules = append(rules, rule)
		}
	}
	rules = append(rules, c.Webhook.rules(webhooks)...)
	return append(rules, c.RateLimit.rule(), &compute.SecurityPolicyRuleTypeArgs{
		Priority:    pulumi.Int(lastRule),
		Description: pulumi.String("The rest is the gateway's to route"),
		Action:      pulumi.String("allow"),
		Match:       anybody(),
	}), nil
}

// deny makes a rule that answers with an HTTP status.
func deny(priority, status int, description, expression string) *compute.SecurityPolicyRuleTypeArgs {
	return &compute.SecurityPolicyRuleTypeArgs{
		Priority:    pulumi.Int(priority),
		Description: pulumi.String(description), // at most 64 characters
		Action:      pulumi.String(fmt.Sprintf("deny(%d)", status)),
		Match:       expr(expression),
	}
}

func expr(expression string) *compute.SecurityPolicyRuleMatchArgs {
	return &compute.SecurityPolicyRuleMatchArgs{
		Expr: &compute.SecurityPolicyRuleMatchExprArgs{Expression: pulumi.String(expression)},
	}
}

// anybody matches every request.
func anybody() *compute.SecurityPolicyRuleMatchArgs {
	return &compute.SecurityPolicyRuleMatchArgs{
		VersionedExpr: pulumi.String("SRC_IPS_V1"),
		Config:        &compute.SecurityPolicyRuleMatchConfigArgs{SrcIpRanges: pulumi.ToStringArray([]string{"*"})},
	}
}

// throttle limits the requests of one client address.
func throttle(perMinute int) *compute.SecurityPolicyRuleRateLimitOptionsArgs {
	return &compute.SecurityPolicyRuleRateLimitOptionsArgs{
		EnforceOnKey:  pulumi.String("IP"),
		ConformAction: pulumi.String("allow"),
		ExceedAction:  pulumi.String("deny(429)"),
		RateLimitThreshold: &compute.SecurityPolicyRuleRateLimitOptionsRateLimitThresholdArgs{
			Count: pulumi.Int(perMinute), IntervalSec: pulumi.Int(60),
		},
	}
}

func (c RateLimitConfig) rule() *compute.SecurityPolicyRuleTypeArgs {
	options := throttle(c.PerMinute)
	action := "throttle"
	if c.BanPerMinute > 0 {
		action = "rate_based_ban"
		options.BanThreshold = &compute.SecurityPolicyRuleRateLimitOptionsBanThresholdArgs{
			Count: pulumi.Int(c.BanPerMinute), IntervalSec: pulumi.Int(60),
		}
		options.BanDurationSec = pulumi.Int(60 * c.BanMinutes)
	}
	return &compute.SecurityPolicyRuleTypeArgs{
		Priority:         pulumi.Int(rateRule),
		Description:      pulumi.String("Requests of one address"),
		Action:           pulumi.String(action),
		Match:            anybody(),
		RateLimitOptions: options,
	}
}

// rules lets webhooks in, from everybody or from the given sources only.
func (c EdgeWebhookConfig) rules(webhooks string) compute.SecurityPolicyRuleTypeArray {
	allow := func(priority int, expression string) *compute.SecurityPolicyRuleTypeArgs {
		return &compute.SecurityPolicyRuleTypeArgs{
			Priority:         pulumi.Int(priority),
			Description:      pulumi.String("Webhooks of one address"),
			Action:           pulumi.String("throttle"),
			Match:            expr(expression),
			RateLimitOptions: throttle(c.PerMinute),
		}
	}
	if len(c.Sources) == 0 {
		return compute.SecurityPolicyRuleTypeArray{allow(webhookRule, webhooks)}
	}
	var rules compute.SecurityPolicyRuleTypeArray
	for sources := range slices.Chunk(slices.Sorted(slices.Values(c.Sources)), sourcesOfOneRule) {
		var from []string
		for _, source := range sources {
			from = append(from, fmt.Sprintf("inIpRange(origin.ip, '%s')", source))
		}
		rules = append(rules, allow(webhookRule+10*len(rules), webhooks+" && ("+strings.Join(from, " || ")+")"))
	}
	return append(rules, deny(webhookClosedRule, 403, "Webhooks of others", webhooks))
}

// expression matches requests that a family of WAF rules objects to, those of
// webhooks excepted: they carry what people said and wrote, are proved by their
// signature, and are lost if refused.
func (c WAFConfig) expression(family, webhooks string) string {
	options := "'sensitivity': " + strconv.Itoa(c.Sensitivity)
	var out []string
	for _, id := range slices.Sorted(slices.Values(c.OptOut)) {
		if strings.HasSuffix(id, "-"+family) {
			out = append(out, "'"+id+"'")
		}
	}
	if len(out) > 0 {
		options += ", 'opt_out_rule_ids': [" + strings.Join(out, ", ") + "]"
	}
	return fmt.Sprintf("!%s && evaluatePreconfiguredWaf('%s-%s-stable', {%s})", webhooks, family, c.RuleSet, options)
}

// hostExpression matches requests for any other host.
func hostExpression(domains []string) string {
	var hosts []string
	for _, domain := range slices.Sorted(slices.Values(domains)) {
		hosts = append(hosts, regexp.QuoteMeta(domain))
	}
	return fmt.Sprintf("!request.headers['host'].lower().matches(R'^(%s)(:443)?$')", strings.Join(hosts, "|"))
}

// matches is an expression that holds for exactly these values of an attribute,
// which are regular expressions.
func matches(attribute string, patterns ...string) string {
	return fmt.Sprintf("%s.matches(R'^(%s)$')", attribute, strings.Join(patterns, "|"))
}

// public is what the security policy needs to know of the public interface.
type public struct {
	methods  []string // in upper case
	webhooks []string // paths that partners call, as regular expressions
}

// publicInterface reads the gateway's document, which says which paths exist
// and who serves them: those of the webhook processor are webhooks.
func publicInterface(document string) (public, error) {
	type operation struct {
		Backend struct {
			Address string `yaml:"address"`
		} `yaml:"x-google-backend"`
	}
	var doc struct {
		Paths map[string]map[string]yaml.Node `yaml:"paths"`
	}
	if err := yaml.Unmarshal([]byte(document), &doc); err != nil {
		return public{}, fmt.Errorf("openapi.yaml: %w", err)
	}
	var p public
	for _, method := range []string{"delete", "get", "head", "options", "patch", "post", "put"} {
		for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
			node, ok := doc.Paths[path][method]
			if !ok {
				continue
			}
			var o operation
			if err := node.Decode(&o); err != nil {
				return public{}, fmt.Errorf("openapi.yaml: %s of %s: %w", method, path, err)
			}
			if method := strings.ToUpper(method); !slices.Contains(p.methods, method) {
				p.methods = append(p.methods, method)
			}
			webhook := strings.HasPrefix(o.Backend.Address, "${"+topology.WebhookProcessor+"}")
			if pattern := pathPattern(path); webhook && !slices.Contains(p.webhooks, pattern) {
				p.webhooks = append(p.webhooks, pattern)
			}
		}
	}
	if len(p.methods) == 0 || len(p.webhooks) == 0 {
		return public{}, fmt.Errorf("openapi.yaml: no paths, or none that %s serves", topology.WebhookProcessor)
	}
	return p, nil
}

var pathParameter = regexp.MustCompile(`\\\{[^/]+\\\}`)

// pathPattern is the regular expression of a path in an OpenAPI document.
func pathPattern(path string) string {
	return pathParameter.ReplaceAllString(regexp.QuoteMeta(path), "[^/]+")
}
