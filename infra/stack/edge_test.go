package stack

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/topology"
)

// edged is prod with edge, network and perimeter.
func edged(t *testing.T) *settings {
	t.Helper()
	s := deployable(t, "prod")
	edgeOn(s)
	return s
}

// edgeOn switches on everything of edge and network.
func edgeOn(s *settings) {
	s.set("ingestion:edge", map[string]any{
		"domains": []any{"api.example.com", "hooks.example.com"},
		"dnsZone": "example",
		"webhook": map[string]any{"sources": []any{
			"198.51.100.0/24", "203.0.113.8/32", "192.0.2.0/24", "2001:db8::/32", "203.0.113.16/28",
		}},
		"waf":                map[string]any{"mode": "enforce", "optOut": []any{"owasp-crs-v042200-id942110-sqli"}},
		"adaptiveProtection": true,
	})
	s.set("ingestion:network", map[string]any{
		"range": "10.64.0.0/16", "egress": "all", "natAddresses": 2, "googleApis": "restricted", "flowLogs": 0.5,
		"perimeter": map[string]any{
			"accessPolicy": "987654321", "projectNumber": "123456789012",
			"operators": []any{"serviceAccount:deployer@example.iam.gserviceaccount.com"},
		},
	})
}

// families are the resources whose types begin so.
func (o outcome) families(modules ...string) outcome {
	var found []registered
	for _, r := range o.resources {
		if slices.ContainsFunc(modules, func(m string) bool { return strings.HasPrefix(r.Type, m) }) {
			found = append(found, r)
		}
	}
	return outcome{resources: found}
}

// TestEdgeIsOffWithoutDomains: a stack that names none pays for none.
func TestEdgeIsOffWithoutDomains(t *testing.T) {
	for stack, network := range map[string]bool{"dev": false, "local": false, "prod": true} {
		o := mustRun(t, deployable(t, stack))
		for typ, want := range map[string]bool{
			"gcp:compute/globalForwardingRule:GlobalForwardingRule":      false,
			"gcp:compute/securityPolicy:SecurityPolicy":                  false,
			"gcp:compute/network:Network":                                network,
			"gcp:accesscontextmanager/servicePerimeter:ServicePerimeter": false,
		} {
			if got := len(o.only(typ)) > 0; got != want {
				t.Errorf("%s has a %s: %t, want %t", stack, typ, got, want)
			}
		}
	}
}

func one(t *testing.T, o outcome, typ, name string) registered {
	t.Helper()
	for _, r := range o.only(typ) {
		if r.Name == name {
			return r
		}
	}
	t.Fatalf("there is no %s %s", typ, name)
	return registered{}
}

// TestRequestsGoThroughTheEdge follows the way from both ports to the gateway.
func TestRequestsGoThroughTheEdge(t *testing.T) {
	o := mustRun(t, edged(t))
	const project = "account-strategy-464106/" // ids of the mock engine
	for _, step := range []struct {
		typ, name, path string
		want            any
	}{
		{"globalForwardingRule:GlobalForwardingRule", "edge-https", "portRange", "443"},
		{"globalForwardingRule:GlobalForwardingRule", "edge-https", "ipAddress", "198.51.100.1"},
		{"globalForwardingRule:GlobalForwardingRule", "edge-https", "loadBalancingScheme", "EXTERNAL_MANAGED"},
		{"globalForwardingRule:GlobalForwardingRule", "edge-https", "target", project + "edge"},
		{"targetHttpsProxy:TargetHttpsProxy", "edge", "urlMap", project + "edge"},
		{"targetHttpsProxy:TargetHttpsProxy", "edge", "sslPolicy", project + "edge"},
		{"sSLPolicy:SSLPolicy", "edge", "minTlsVersion", "TLS_1_2"},
		{"sSLPolicy:SSLPolicy", "edge", "profile", "MODERN"},
		{"uRLMap:URLMap", "edge", "defaultService", project + "edge"},
		{"uRLMap:URLMap", "edge", "pathMatchers.defaultService", project + "edge"},
		{"uRLMap:URLMap", "edge", "pathMatchers.pathRules.paths", []any{"/api/v1/chat/*"}},
		{"uRLMap:URLMap", "edge", "pathMatchers.pathRules.service", project + "edge-chat-api"},
		{"backendService:BackendService", "edge-chat-api", "securityPolicy", project + "edge"},
		{"backendService:BackendService", "edge-chat-api", "backends.group", project + "edge-chat-api"},
		{"regionNetworkEndpointGroup:RegionNetworkEndpointGroup", "edge-chat-api", "cloudRun.service", "chat-api"},
		{"backendService:BackendService", "edge", "securityPolicy", project + "edge"},
		{"backendService:BackendService", "edge", "loadBalancingScheme", "EXTERNAL_MANAGED"},
		{"backendService:BackendService", "edge", "backends.group", project + "edge"},
		{"regionNetworkEndpointGroup:RegionNetworkEndpointGroup", "edge", "serverlessDeployment.platform", "apigateway.googleapis.com"},
		{"regionNetworkEndpointGroup:RegionNetworkEndpointGroup", "edge", "serverlessDeployment.resource", "ingestion"},
		{"globalForwardingRule:GlobalForwardingRule", "edge-http", "portRange", "80"},
		{"globalForwardingRule:GlobalForwardingRule", "edge-http", "ipAddress", "198.51.100.1"},
		{"globalForwardingRule:GlobalForwardingRule", "edge-http", "target", project + "edge-redirect"},
		{"targetHttpProxy:TargetHttpProxy", "edge-redirect", "urlMap", project + "edge-redirect"},
		{"uRLMap:URLMap", "edge-redirect", "defaultUrlRedirect.httpsRedirect", true},
		{"uRLMap:URLMap", "edge-redirect", "defaultService", nil},
	} {
		if got := field(one(t, o, "gcp:compute/"+step.typ, step.name), step.path); !cmp.Equal(got, step.want) {
			t.Errorf("%s %s: %s is %v, want %v", step.typ, step.name, step.path, got, step.want)
		}
	}
	// Past the edge nobody reaches the chat, nor what the edge protects it from.
	if got := field(one(t, o, "gcp:cloudrunv2/service:Service", "chat-api"), "ingress"); got != "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER" {
		t.Errorf("the chat's ingress is %v", got)
	}
	// What the mock engine cannot tell apart by id, it can by dependency.
	for from, to := range map[string]string{
		"gcp:compute/targetHttpsProxy:TargetHttpsProxy edge":                     "gcp:compute/uRLMap:URLMap edge",
		"gcp:compute/uRLMap:URLMap edge":                                         "gcp:compute/backendService:BackendService edge",
		"gcp:compute/backendService:BackendService edge":                         "gcp:compute/securityPolicy:SecurityPolicy edge",
		"gcp:compute/regionNetworkEndpointGroup:RegionNetworkEndpointGroup edge": "gcp:apigateway/gateway:Gateway gateway",
	} {
		typ, name, _ := strings.Cut(from, " ")
		if !slices.Contains(one(t, o, typ, name).DependsOn, to) {
			t.Errorf("%s does not refer to %s", from, to)
		}
	}
}

// TestCertificatesAreForTheDomains: one each, so that another domain is another
// certificate and no change of one.
func TestCertificatesAreForTheDomains(t *testing.T) {
	s := edged(t)
	before := mustRun(t, s)
	var domains []any
	for _, r := range before.only("gcp:compute/managedSslCertificate:ManagedSslCertificate") {
		domains = append(domains, plain(r.Inputs["managed"]).(map[string]any)["domains"].([]any)...)
	}
	if diff := cmp.Diff([]any{"api.example.com", "hooks.example.com"}, domains); diff != "" {
		t.Errorf("domains (-want +got):\n%s", diff)
	}
	s.edit(t, "ingestion:edge", func(edge map[string]any) {
		edge["domains"] = append([]any{"a.example.com"}, edge["domains"].([]any)...)
	})
	after := byKey(mustRun(t, s))
	for key, text := range byKey(before) {
		if strings.Contains(key, "managedSslCertificate") && after[key] != text {
			t.Errorf("%s changed with another domain", key)
		}
	}
	for _, r := range before.only("gcp:dns/recordSet:RecordSet") {
		if strings.HasPrefix(r.Name, "edge-") && field(r, "name") != strings.TrimPrefix(r.Name, "edge-")+"." {
			t.Errorf("%s is for %v", r.Name, field(r, "name"))
		}
	}
}

// policyRule is a rule of the security policy, as it was registered.
type policyRule struct {
	priority   int
	action     string
	expression string
	ranges     []any
	preview    bool
}

func policyRules(t *testing.T, s *settings) []policyRule {
	t.Helper()
	policy := one(t, mustRun(t, s), "gcp:compute/securityPolicy:SecurityPolicy", "edge")
	var rules []policyRule
	for _, v := range policy.Inputs["rules"].ArrayValue() {
		m := plain(v).(map[string]any)
		rule := policyRule{priority: int(m["priority"].(float64)), action: m["action"].(string)}
		match := m["match"].(map[string]any)
		if e, ok := match["expr"].(map[string]any); ok {
			rule.expression = e["expression"].(string)
		} else {
			rule.ranges = match["config"].(map[string]any)["srcIpRanges"].([]any)
		}
		rule.preview, _ = m["preview"].(bool)
		rules = append(rules, rule)
	}
	return rules
}

// TestWhatRefusesComesFirst: a rate limit lets pass what is within it, and no
// later rule is asked.
func TestWhatRefusesComesFirst(t *testing.T) {
	rules := policyRules(t, edged(t))
	if !slices.IsSortedFunc(rules, func(a, b policyRule) int { return a.priority - b.priority }) {
		t.Error("the rules are not in the order of their priorities")
	}
	limited := 0
	for _, rule := range rules {
		if limited > 0 && strings.HasPrefix(rule.action, "deny") && rule.priority != webhookClosedRule {
			t.Errorf("rule %d refuses after a limit let pass", rule.priority)
		}
		if rule.action == "throttle" || rule.action == "rate_based_ban" {
			limited++
		}
	}
	if want := 2 + 1; limited != want { // five sources are two rules
		t.Errorf("%d limits, want %d", limited, want)
	}
	last := rules[len(rules)-1]
	if last.priority != lastRule || last.action != "allow" || !slices.Equal(last.ranges, []any{"*"}) {
		t.Errorf("the last rule is %+v", last)
	}
}

// TestWebhooksAreNeitherBannedNorInspected: CallRail sends none twice.
func TestWebhooksAreNeitherBannedNorInspected(t *testing.T) {
	public, err := publicInterface(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	webhook := matches("request.path", public.webhooks...)
	inspected, open := 0, 0
	for _, rule := range policyRules(t, edged(t)) {
		if strings.Contains(rule.expression, "evaluatePreconfiguredWaf") {
			inspected++
			if !strings.HasPrefix(rule.expression, "!"+webhook+" && ") {
				t.Errorf("WAF rule %d inspects webhooks: %s", rule.priority, rule.expression)
			}
		}
		if rule.action == "throttle" {
			open++
			if !strings.HasPrefix(rule.expression, webhook+" && (inIpRange(origin.ip, ") {
				t.Errorf("rule %d is not for listed sources: %s", rule.priority, rule.expression)
			}
		}
		if rule.priority == webhookClosedRule && (rule.action != "deny(403)" || rule.expression != webhook) {
			t.Errorf("webhooks of others: %+v", rule)
		}
	}
	if inspected != 7 || open != 2 {
		t.Errorf("%d WAF rules and %d of sources, want 7 and 2", inspected, open)
	}

	s := edged(t)
	s.edit(t, "ingestion:edge", func(edge map[string]any) { edge["webhook"] = map[string]any{} })
	for _, rule := range policyRules(t, s) {
		if rule.priority == webhookClosedRule {
			t.Error("webhooks are closed though nobody is listed")
		}
	}
}

func TestWAFModes(t *testing.T) {
	for mode, want := range map[string]struct{ rules, previewed int }{"off": {0, 0}, "preview": {7, 7}, "enforce": {7, 0}} {
		s := edged(t)
		s.edit(t, "ingestion:edge", func(edge map[string]any) { edge["waf"] = map[string]any{"mode": mode} })
		rules, previewed := 0, 0
		for _, rule := range policyRules(t, s) {
			if strings.Contains(rule.expression, "evaluatePreconfiguredWaf") {
				rules++
			}
			if rule.preview {
				previewed++
			}
		}
		if rules != want.rules || previewed != want.previewed {
			t.Errorf("%s: %d rules, %d previewed, want %d, %d", mode, rules, previewed, want.rules, want.previewed)
		}
	}
}

func TestExpressions(t *testing.T) {
	waf := WAFConfig{RuleSet: "v422", Sensitivity: 2, OptOut: []string{"owasp-crs-v042200-id942330-sqli", "owasp-crs-v042200-id942110-sqli", "owasp-crs-v042200-id941150-xss"}}
	for _, tt := range []struct{ name, got, want string }{
		{"hosts", hostExpression([]string{"b.example.com", "a.example.com"}),
			`!request.headers['host'].lower().matches(R'^(a\.example\.com|b\.example\.com)(:443)?$')`},
		{"WAF", waf.expression("sqli", "webhook"),
			`!webhook && evaluatePreconfiguredWaf('sqli-v422-stable', {'sensitivity': 2, 'opt_out_rule_ids': ['owasp-crs-v042200-id942110-sqli', 'owasp-crs-v042200-id942330-sqli']})`},
		{"path", pathPattern("/api/v1/{tenant}/forms.json"), `/api/v1/[^/]+/forms\.json`},
	} {
		if tt.got != tt.want {
			t.Errorf("%s:\n%s, want\n%s", tt.name, tt.got, tt.want)
		}
	}
}

// TestPublicInterface: the policy follows the gateway's document.
func TestPublicInterface(t *testing.T) {
	got, err := publicInterface(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(got.webhooks, "/api/v1/callrail/webhook") || slices.Contains(got.webhooks, "/api/v1/forms") {
		t.Errorf("webhooks %v", got.webhooks)
	}
	got, err = publicInterface(`
paths:
  /hooks/{id}:
    parameters: [{name: id}]
    put: {x-google-backend: {address: "${` + topology.WebhookProcessor + `}/x"}}
  /forms:
    options: {}
    post: {x-google-backend: {address: "${intake-api}"}}
`)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.methods, []string{"OPTIONS", "POST", "PUT"}) || !slices.Equal(got.webhooks, []string{"/hooks/[^/]+"}) {
		t.Errorf("got %+v", got)
	}
	for _, document := range []string{"paths: {}", "paths: [", "paths: {/forms: {post: {}}}"} {
		if _, err := publicInterface(document); err == nil {
			t.Errorf("%s was accepted", document)
		}
	}
}

// TestEdgeIsProtected: the addresses that others wrote down.
func TestEdgeIsProtected(t *testing.T) {
	addresses := 0
	for _, r := range mustRun(t, edged(t)).families("gcp:compute/address:", "gcp:compute/globalAddress:").resources {
		addresses++
		if !r.Protect {
			t.Errorf("%s is not protected", r.key())
		}
	}
	if addresses != 3 {
		t.Errorf("%d addresses, want 3", addresses)
	}
}
