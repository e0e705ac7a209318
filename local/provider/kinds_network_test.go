package provider

import (
	"slices"
	"strings"
	"testing"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/protobuf/types/known/structpb"
)

// networkSamples are right inputs of every kind in this family.
func networkSamples() map[string]Object {
	rule := func(priority float64, action string, match Object, more Object) Object {
		return with(Object{"priority": priority, "action": action, "match": match}, more)
	}
	everybody := Object{"versionedExpr": "SRC_IPS_V1", "config": Object{"srcIpRanges": []any{"*"}}}
	return map[string]Object{
		"gcp:compute/globalAddress:GlobalAddress": {"name": "edge", "labels": Object{"app": "x"}},
		"gcp:compute/address:Address":             {"name": "nat-0", "addressType": "EXTERNAL"},
		"gcp:compute/managedSslCertificate:ManagedSslCertificate": {
			"name": "edge", "managed": Object{"domains": []any{"api.example.com"}},
		},
		"gcp:compute/sSLPolicy:SSLPolicy": {"name": "edge", "profile": "MODERN", "minTlsVersion": "TLS_1_2"},
		"gcp:compute/regionNetworkEndpointGroup:RegionNetworkEndpointGroup": {
			"name": "edge", "networkEndpointType": "SERVERLESS", "region": "us-central1",
			"serverlessDeployment": Object{"platform": "apigateway.googleapis.com", "resource": "gateway"},
		},
		"gcp:compute/securityPolicy:SecurityPolicy": {"name": "edge", "type": "CLOUD_ARMOR", "rules": []any{
			rule(100, "deny(403)", Object{"expr": Object{"expression": "request.method == 'PUT'"}}, nil),
			rule(200, "rate_based_ban", everybody, Object{"rateLimitOptions": Object{
				"conformAction": "allow", "exceedAction": "deny(429)", "enforceOnKey": "IP", "banDurationSec": 600.0,
				"rateLimitThreshold": Object{"count": 300.0, "intervalSec": 60.0}, "banThreshold": Object{"count": 3000.0, "intervalSec": 60.0},
			}}),
			rule(2147483647, "allow", everybody, nil),
		}},
		"gcp:compute/backendService:BackendService": {
			"name": "edge", "protocol": "HTTPS", "loadBalancingScheme": "EXTERNAL_MANAGED",
			"backends":  []any{Object{"group": "projects/p/regions/r/networkEndpointGroups/edge"}},
			"logConfig": Object{"enable": true, "sampleRate": 1.0}, "customResponseHeaders": []any{"A: b"},
		},
		"gcp:compute/uRLMap:URLMap":                     {"name": "edge", "defaultService": "projects/p/global/backendServices/edge"},
		"gcp:compute/targetHttpProxy:TargetHttpProxy":   {"name": "edge", "urlMap": "projects/p/global/urlMaps/edge"},
		"gcp:compute/targetHttpsProxy:TargetHttpsProxy": {"name": "edge", "urlMap": "projects/p/global/urlMaps/edge", "sslCertificates": []any{"c"}},
		"gcp:compute/globalForwardingRule:GlobalForwardingRule": {
			"name": "edge", "target": "proxy", "portRange": "443", "loadBalancingScheme": "EXTERNAL_MANAGED", "ipProtocol": "TCP",
		},
		"gcp:compute/network:Network":       {"name": "vpc", "routingMode": "REGIONAL", "mtu": 1460.0},
		"gcp:compute/subnetwork:Subnetwork": {"name": "subnet", "network": "vpc", "ipCidrRange": "10.0.0.0/16"},
		"gcp:compute/router:Router":         {"name": "router", "network": "vpc"},
		"gcp:compute/routerNat:RouterNat": {
			"name": "nat", "router": "router", "natIpAllocateOption": "MANUAL_ONLY", "natIps": []any{"address"},
			"sourceSubnetworkIpRangesToNat": "LIST_OF_SUBNETWORKS", "subnetworks": []any{Object{"name": "subnet"}},
			"enableDynamicPortAllocation": true, "minPortsPerVm": 64.0, "maxPortsPerVm": 2048.0,
		},
		"gcp:compute/firewall:Firewall": {
			"name": "deny", "network": "vpc", "direction": "INGRESS", "priority": 65534.0,
			"denies": []any{Object{"protocol": "all"}}, "sourceRanges": []any{"0.0.0.0/0"},
		},
		"gcp:dns/managedZone:ManagedZone": {
			"name": "googleapis", "dnsName": "googleapis.com.", "visibility": "private",
			"privateVisibilityConfig": Object{"networks": []any{Object{"networkUrl": "vpc"}}},
		},
		"gcp:dns/recordSet:RecordSet": {"name": "*.googleapis.com.", "managedZone": "googleapis", "type": "CNAME", "rrdatas": []any{"private.googleapis.com."}},
		"gcp:accesscontextmanager/accessLevel:AccessLevel": {
			"name": "accessPolicies/1/accessLevels/operators", "parent": "accessPolicies/1", "title": "Operators",
			"basic": Object{"conditions": []any{Object{"members": []any{"user:a@example.com"}}}},
		},
		"gcp:accesscontextmanager/servicePerimeter:ServicePerimeter": {
			"name": "accessPolicies/1/servicePerimeters/x", "parent": "accessPolicies/1", "title": "X", "useExplicitDryRunSpec": true,
			"spec": Object{"resources": []any{"projects/123"}, "restrictedServices": []any{"spanner.googleapis.com"}},
		},
	}
}

// TestNetworkKindsAcceptWhatIsRight, and record it under an id.
func TestNetworkKindsAcceptWhatIsRight(t *testing.T) {
	t.Parallel()
	samples := networkSamples()
	for _, kind := range NetworkKinds() {
		in := clone(samples[kind.Type])
		if in == nil {
			t.Errorf("%s has no sample", kind.Type)
			continue
		}
		kind.normalize(in)
		for _, name := range kind.Required {
			if in[name] == nil {
				t.Errorf("the sample of %s lacks %s", kind.Type, name)
			}
		}
		for _, f := range kind.validateKnown(in) {
			t.Errorf("%s: %s", kind.Type, f)
		}
		if id := kind.ID(in); id == "" || strings.Contains(id, "//") || strings.HasSuffix(id, "/") {
			t.Errorf("%s: id %q", kind.Type, id)
		}
	}
}

// TestNetworkKindsRefuse what the APIs refuse.
func TestNetworkKindsRefuse(t *testing.T) {
	t.Parallel()
	const compute = "gcp:compute/"
	rules := func(change func(rules []any)) func(Object) {
		return func(in Object) { change(in["rules"].([]any)) }
	}
	set := func(name string, value any) func(Object) { return func(in Object) { in[name] = value } }
	for name, tt := range map[string]struct {
		typ    string
		change func(Object)
		want   string // property
	}{
		"name":                       {compute + "network:Network", set("name", "VPC"), "name"},
		"long_name":                  {compute + "network:Network", set("name", strings.Repeat("a", 64)), "name"},
		"label":                      {compute + "globalAddress:GlobalAddress", set("labels", Object{"App": "x"}), "labels.App"},
		"mtu":                        {compute + "network:Network", set("mtu", 9000.0), "mtu"},
		"address_type":               {compute + "address:Address", set("addressType", "PUBLIC"), "addressType"},
		"wildcard_certificate":       {compute + "managedSslCertificate:ManagedSslCertificate", set("managed", Object{"domains": []any{"*.example.com"}}), "managed.domains[0]"},
		"tls_version":                {compute + "sSLPolicy:SSLPolicy", set("minTlsVersion", "TLS_1_4"), "minTlsVersion"},
		"tls_features":               {compute + "sSLPolicy:SSLPolicy", set("profile", "CUSTOM"), "customFeatures"},
		"full_name_of_gateway":       {compute + "regionNetworkEndpointGroup:RegionNetworkEndpointGroup", set("serverlessDeployment", Object{"platform": "apigateway.googleapis.com", "resource": "projects/p/locations/l/gateways/g"}), "serverlessDeployment.resource"},
		"platform":                   {compute + "regionNetworkEndpointGroup:RegionNetworkEndpointGroup", set("serverlessDeployment", Object{"platform": "apigateway", "resource": "g"}), "serverlessDeployment.platform"},
		"no_platform":                {compute + "regionNetworkEndpointGroup:RegionNetworkEndpointGroup", set("serverlessDeployment", nil), "networkEndpointType"},
		"timeout_of_serverless":      {compute + "backendService:BackendService", set("timeoutSec", 30.0), "timeoutSec"},
		"header":                     {compute + "backendService:BackendService", set("customResponseHeaders", []any{"A"}), "customResponseHeaders[0]"},
		"share_of_logs":              {compute + "backendService:BackendService", set("logConfig", Object{"enable": true, "sampleRate": 2.0}), "logConfig.sampleRate"},
		"redirect_and_service":       {compute + "uRLMap:URLMap", set("defaultUrlRedirect", Object{"httpsRedirect": true, "stripQuery": false}), "defaultService"},
		"no_certificate":             {compute + "targetHttpsProxy:TargetHttpsProxy", set("sslCertificates", nil), "sslCertificates"},
		"port":                       {compute + "globalForwardingRule:GlobalForwardingRule", set("portRange", "https"), "portRange"},
		"range_with_bits_beyond":     {compute + "subnetwork:Subnetwork", set("ipCidrRange", "10.0.0.1/16"), "ipCidrRange"},
		"prohibited_range":           {compute + "subnetwork:Subnetwork", set("ipCidrRange", "169.254.0.0/24"), "ipCidrRange"},
		"tiny_range":                 {compute + "subnetwork:Subnetwork", set("ipCidrRange", "10.0.0.0/30"), "ipCidrRange"},
		"flow_logs":                  {compute + "subnetwork:Subnetwork", set("logConfig", Object{"flowSampling": 2.0}), "logConfig.flowSampling"},
		"addresses_of_automatic_nat": {compute + "routerNat:RouterNat", set("natIpAllocateOption", "AUTO_ONLY"), "natIps"},
		"listed_subnetworks":         {compute + "routerNat:RouterNat", set("subnetworks", nil), "subnetworks"},
		"endpoint_independent":       {compute + "routerNat:RouterNat", set("enableEndpointIndependentMapping", true), "enableEndpointIndependentMapping"},
		"ports_of_nat":               {compute + "routerNat:RouterNat", set("minPortsPerVm", 100.0), "minPortsPerVm"},
		"allows_and_denies":          {compute + "firewall:Firewall", set("allows", []any{Object{"protocol": "tcp"}}), "allows"},
		"ports_of_all":               {compute + "firewall:Firewall", set("denies", []any{Object{"protocol": "all", "ports": []any{"1"}}}), "denies[0].ports"},
		"source_range":               {compute + "firewall:Firewall", set("sourceRanges", []any{"10.0.0.1/8"}), "sourceRanges[0]"},
		"priority":                   {compute + "firewall:Firewall", set("priority", 70000.0), "priority"},
		"public_zone_in_network":     {"gcp:dns/managedZone:ManagedZone", set("visibility", "public"), "privateVisibilityConfig"},
		"zone_without_period":        {"gcp:dns/managedZone:ManagedZone", set("dnsName", "googleapis.com"), "dnsName"},
		"record_without_period":      {"gcp:dns/recordSet:RecordSet", set("rrdatas", []any{"private.googleapis.com"}), "rrdatas[0]"},
		"address_record":             {"gcp:dns/recordSet:RecordSet", set("type", "A"), "rrdatas[0]"},
		"project_by_id":              {"gcp:accesscontextmanager/servicePerimeter:ServicePerimeter", set("spec", Object{"resources": []any{"projects/my-project"}}), "spec.resources[0]"},
		"dry_run":                    {"gcp:accesscontextmanager/servicePerimeter:ServicePerimeter", set("useExplicitDryRunSpec", false), "spec"},
		"perimeter_name":             {"gcp:accesscontextmanager/servicePerimeter:ServicePerimeter", set("name", "accessPolicies/1/servicePerimeters/my-project"), "name"},
		"member":                     {"gcp:accesscontextmanager/accessLevel:AccessLevel", set("basic", Object{"conditions": []any{Object{"members": []any{"group:a@example.com"}}}}), "basic.conditions[0].members[0]"},
		"no_last_rule":               {compute + "securityPolicy:SecurityPolicy", func(in Object) { in["rules"] = in["rules"].([]any)[:2] }, "rules"},
		"same_priority":              {compute + "securityPolicy:SecurityPolicy", rules(func(r []any) { r[1].(Object)["priority"] = 100.0 }), "rules[1].priority"},
		"action":                     {compute + "securityPolicy:SecurityPolicy", rules(func(r []any) { r[0].(Object)["action"] = "deny(405)" }), "rules[0].action"},
		"long_description":           {compute + "securityPolicy:SecurityPolicy", rules(func(r []any) { r[0].(Object)["description"] = strings.Repeat("x", 65) }), "rules[0].description"},
		"two_matches":                {compute + "securityPolicy:SecurityPolicy", rules(func(r []any) { r[2].(Object)["match"].(Object)["expr"] = Object{"expression": "true"} }), "rules[2].match"},
		"limit_of_a_denial":          {compute + "securityPolicy:SecurityPolicy", rules(func(r []any) { r[1].(Object)["action"] = "deny(403)" }), "rules[1].rateLimitOptions"},
		"ban_without_length": {compute + "securityPolicy:SecurityPolicy", rules(func(r []any) {
			delete(r[1].(Object)["rateLimitOptions"].(Object), "banDurationSec")
		}), "rules[1].rateLimitOptions.banDurationSec"},
		"ban_count": {compute + "securityPolicy:SecurityPolicy", rules(func(r []any) {
			r[1].(Object)["rateLimitOptions"].(Object)["banThreshold"] = Object{"count": 10001.0, "intervalSec": 60.0}
		}), "rules[1].rateLimitOptions.banThreshold.count"},
		"interval": {compute + "securityPolicy:SecurityPolicy", rules(func(r []any) {
			r[1].(Object)["rateLimitOptions"].(Object)["rateLimitThreshold"] = Object{"count": 1.0, "intervalSec": 61.0}
		}), "rules[1].rateLimitOptions.rateLimitThreshold.intervalSec"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kinds := NetworkKinds()
			kind := kinds[slices.IndexFunc(kinds, func(k Kind) bool { return k.Type == tt.typ })]
			in := clone(networkSamples()[tt.typ])
			tt.change(in)
			kind.normalize(in)
			failures := kind.validateKnown(in)
			if !slices.ContainsFunc(failures, func(f Failure) bool { return f.Property == tt.want }) {
				t.Errorf("failures %v, want one of %s", failures, tt.want)
			}
		})
	}
}

func (k Kind) normalize(in Object) {
	if k.Normalize != nil {
		k.Normalize(testEnv, "urn:pulumi:s::p::"+k.Type+"::n", in)
	}
}

// validateKnown is Validate with everything known.
func (k Kind) validateKnown(in Object) []Failure {
	if k.Validate == nil {
		return nil
	}
	return k.Validate(in, map[string]bool{})
}

// TestSubnetworksGrow where they are; anything else moves them.
func TestSubnetworksGrow(t *testing.T) {
	t.Parallel()
	s := New(testEnv, NetworkKinds())
	for to, replaces := range map[string]bool{"10.0.0.0/15": false, "10.0.0.0/16": false, "10.0.0.0/17": true, "10.1.0.0/16": true} {
		old, err := structpb.NewStruct(Object{"name": "subnet", "network": "vpc", "ipCidrRange": "10.0.0.0/16", "project": "p", "region": "r"})
		if err != nil {
			t.Fatal(err)
		}
		in, err := structpb.NewStruct(Object{"name": "subnet", "network": "vpc", "ipCidrRange": to, "project": "p", "region": "r"})
		if err != nil {
			t.Fatal(err)
		}
		diff, err := s.Diff(t.Context(), &pulumirpc.DiffRequest{
			Urn: "urn:pulumi:s::p::gcp:compute/subnetwork:Subnetwork::subnet", OldInputs: old, News: in,
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := len(diff.GetReplaces()) > 0; got != replaces {
			t.Errorf("to %s: replaced %t, want %t", to, got, replaces)
		}
	}
}

func TestArmorExpressions(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{ // "" = right
		`has(request.headers['content-length']) && int(request.headers['content-length']) > 1048576`:  "",
		`!request.headers['host'].lower().matches(R'^(api\.example\.com)(:443)?$')`:                   "",
		`inIpRange(origin.ip, '198.51.100.0/24') || origin.region_code == 'US'`:                       "",
		`evaluatePreconfiguredWaf('sqli-v33-stable')`:                                                 "",
		`evaluatePreconfiguredWaf('sqli-v422-stable', {'sensitivity': 1, 'opt_out_rule_ids': ['a']})`: "",
		`evaluatePreconfiguredWaf('sql-v33-stable')`:                                                  "no preconfigured rule",
		`evaluatePreconfiguredWaf('sqli-v33-stable', {'sensitivity': 5})`:                             "sensitivity is from 0 to 4",
		`evaluatePreconfiguredWaf('sqli-v33-stable', {'paranoia': 1})`:                                "no option",
		`inIpRange(origin.ip, '198.51.100.7/24')`:                                                     "not a range",
		`request.path.matches('(')`:                                                                   "missing closing",
		`request.path`:                                                                                "not true or false",
		`request.body.size() > 1`:                                                                     "undeclared reference",
		`request.method == 'GET' &&`:                                                                  "Syntax error",
		`origin.ip == 'a' || origin.ip == 'b' || origin.ip == 'c' || origin.ip == 'd' || origin.ip == 'e' || origin.ip == 'f'`: "6 subexpressions",
		`request.path == '` + strings.Repeat("x", 2048) + `'`:                                                                  "characters",
	} {
		err := validateArmor(expression)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: error %v, want one that has %q", expression, err, want)
		}
	}
}

// FuzzArmor: no expression that a program could register breaks the check.
func FuzzArmor(f *testing.F) {
	for _, seed := range []string{
		"evaluatePreconfiguredWaf('sqli-v33-stable', {'sensitivity': 1})", "evaluatePreconfiguredWaf(request.path, {request.path: 1})",
		"has(request.headers['a']) && int(request.headers['a']) > 1", "inIpRange(origin.ip, origin.ip)", "!", "{1: 2}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		first, second := validateArmor(expression), validateArmor(expression)
		if (first == nil) != (second == nil) {
			t.Errorf("%q: once %v, once %v", expression, first, second)
		}
	})
}
