package stack

import (
	"fmt"
	"strings"
	"testing"
)

// TestEdgeAndNetworkMistakes: each is reported with its path, whatever else is
// right, and nothing else is.
func TestEdgeAndNetworkMistakes(t *testing.T) {
	const edge, network = "ingestion:edge", "ingestion:network"
	list := func(items ...any) []any { return items }
	var many []any
	for i := range 16 {
		many = append(many, fmt.Sprintf("host-%d.example.com", i))
	}
	tests := []struct {
		name, key, path string // path below key, dotted
		value           any
		want            []string // prefixes below key
	}{
		{"wildcard domain", edge, "domains", list("*.example.com"), []string{".domains[0]: must be a host name"}},
		{"domain in upper case", edge, "domains", list("API.example.com"), []string{".domains[0]: must be a host name"}},
		{"domain with a scheme", edge, "domains", list("https://api.example.com"), []string{".domains[0]: must be a host name"}},
		{"domain twice", edge, "domains", list("a.example.com", "a.example.com"), []string{".domains[1]: a.example.com is there twice"}},
		{"too many domains", edge, "domains", many, []string{".domains: must be at most 15"}},
		{"domains too long for one rule", edge, "domains", list(
			strings.Repeat(strings.Repeat("a", 60)+".", 4)+"aa", strings.Repeat(strings.Repeat("b", 60)+".", 4)+"aa",
			strings.Repeat(strings.Repeat("c", 60)+".", 4)+"aa", strings.Repeat(strings.Repeat("d", 60)+".", 4)+"aa",
			strings.Repeat(strings.Repeat("e", 60)+".", 4)+"aa", strings.Repeat(strings.Repeat("f", 60)+".", 4)+"aa",
			strings.Repeat(strings.Repeat("g", 60)+".", 4)+"aa", strings.Repeat(strings.Repeat("h", 60)+".", 4)+"aa",
		), []string{".domains: are too long for one rule"}},
		{"zone is a domain", edge, "dnsZone", "example.com.", []string{".dnsZone: must be the name"}},
		{"edge below the handlers", edge, "maxBodyBytes", 1000, []string{".maxBodyBytes: must be 0 or at least"}},
		{"log share", edge, "logSampleRate", 1.5, []string{".logSampleRate: must be 0 to 1"}},
		{"no rate", edge, "rateLimit.perMinute", 0, []string{".rateLimit.perMinute: must be 1 to 10000"}},
		{"rate that cannot ban", edge, "rateLimit.perMinute", 20000, []string{".rateLimit.perMinute: must be 1 to 10000"}},
		{"ban threshold", edge, "rateLimit.banPerMinute", 20000, []string{".rateLimit.banPerMinute: must be 0 (never) to 10000"}},
		{"length of a ban", edge, "rateLimit.banMinutes", 7, []string{".rateLimit.banMinutes: must be one of"}},
		{"webhook rate", edge, "webhook.perMinute", 0, []string{".webhook.perMinute: must be 1 to"}},
		{"source without length", edge, "webhook.sources", list("198.51.100.7"), []string{".webhook.sources[0]: must be a range"}},
		{"source with bits beyond", edge, "webhook.sources", list("198.51.100.7/24"), []string{".webhook.sources[0]: must be a range"}},
		{"everybody is a source", edge, "webhook.sources", list("0.0.0.0/0"), []string{".webhook.sources[0]: 0.0.0.0/0 is everybody"}},
		{"sources overlap", edge, "webhook.sources", list("198.51.100.0/24", "198.51.100.8/32"), []string{".webhook.sources[1]: 198.51.100.8/32 overlaps"}},
		{"WAF mode", edge, "waf.mode", "on", []string{".waf.mode: must be off, preview or enforce"}},
		{"WAF version", edge, "waf.ruleSet", "v30", []string{".waf.ruleSet: must be"}},
		{"WAF sensitivity", edge, "waf.sensitivity", 5, []string{".waf.sensitivity: must be 1 to 4"}},
		{"WAF rules", edge, "waf.rules", list("sqli", "sql", "sqli"), []string{`.waf.rules[1]: no such rules: "sql"`, ".waf.rules[2]: sqli is there twice"}},
		{"WAF signature", edge, "waf.optOut", list("942110"), []string{".waf.optOut[0]: must be the id of a signature"}},
		{"WAF signature of other rules", edge, "waf.optOut", list("owasp-crs-v042200-id933100-php"), []string{".waf.optOut[0]: is of php"}},
		{"unknown field", edge, "domain", "api.example.com", []string{".domain: unknown field"}},

		{"not a range", network, "range", "10.0.0.0", []string{".range: must be an IPv4 range"}},
		{"range with bits beyond", network, "range", "10.0.0.1/16", []string{".range: must be an IPv4 range"}},
		{"IPv6 range", network, "range", "fd00::/48", []string{".range: must be an IPv4 range"}},
		{"public range", network, "range", "198.18.0.0/16", []string{".range: must be part of a private range"}},
		{"more than a private range", network, "range", "172.0.0.0/8", []string{".range: must be part of a private range"}},
		{"tiny range", network, "range", "10.0.0.0/27", []string{".range: must be /26 or larger"}},
		{"range without room", network, "range", "10.0.0.0/24", []string{".range: 10.0.0.0/24 has 256 addresses"}},
		{"egress", network, "egress", "none", []string{".egress: must be partners or all"}},
		{"addresses", network, "natAddresses", 0, []string{".natAddresses: must be 1 to 16"}},
		{"Google's APIs", network, "googleApis", "public", []string{".googleApis: must be default, private or restricted"}},
		{"flow logs in words", network, "flowLogs", "half", []string{".flowLogs: must be a number, not a string"}},
		{"flow logs", network, "flowLogs", -1, []string{".flowLogs: must be 0 to 1"}},
		{"perimeter on the short way", network, "perimeter", map[string]any{"accessPolicy": "1", "projectNumber": "123456789012"},
			[]string{".perimeter: needs network.egress: all"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := deployable(t, "prod")
			s.set(edge, map[string]any{"domains": []any{"api.example.com"}})
			s.edit(t, tt.key, func(m map[string]any) {
				steps := strings.Split(tt.path, ".")
				for _, step := range steps[:len(steps)-1] {
					inner := map[string]any{}
					m[step] = inner
					m = inner
				}
				m[steps[len(steps)-1]] = tt.value
			})
			got := mistakes(t, s)
			if len(got) != len(tt.want) {
				t.Fatalf("%d mistakes, want %d:\n%s", len(got), len(tt.want), strings.Join(got, "\n"))
			}
			for i := range tt.want {
				if !strings.HasPrefix(got[i], tt.key+tt.want[i]) {
					t.Errorf("got %q, want it to begin with %q", got[i], tt.key+tt.want[i])
				}
			}
		})
	}
}

// TestMistakesOfTheWholeNetwork are those that several keys make together.
func TestMistakesOfTheWholeNetwork(t *testing.T) {
	for name, tt := range map[string]struct {
		network map[string]any
		want    []string
	}{
		"perimeter without a network": {
			map[string]any{"range": "", "perimeter": map[string]any{"accessPolicy": "1"}},
			[]string{".perimeter: needs a network"},
		},
		"perimeter": {
			map[string]any{"range": "10.64.0.0/16", "egress": "all", "googleApis": "restricted", "perimeter": map[string]any{
				"accessPolicy": "accessPolicies/1", "projectNumber": "my-project", "services": []any{"spanner"},
				"accessLevels": []any{"accessPolicies/2/accessLevels/office"}, "operators": []any{"group:all@example.com"},
			}},
			[]string{
				".perimeter.accessPolicy: must be", ".perimeter.projectNumber: must be", ".perimeter.services[0]: must be",
				".perimeter.accessLevels[0]: must have", ".perimeter.operators[0]: must be",
			},
		},
	} {
		s := deployable(t, "prod")
		s.set("ingestion:network", tt.network)
		got := mistakes(t, s)
		if len(got) != len(tt.want) {
			t.Errorf("%s: %d mistakes, want %d:\n%s", name, len(got), len(tt.want), strings.Join(got, "\n"))
			continue
		}
		for i := range tt.want {
			if !strings.HasPrefix(got[i], "ingestion:network"+tt.want[i]) {
				t.Errorf("%s: got %q, want it to begin with %q", name, got[i], tt.want[i])
			}
		}
	}
	// A multi-region of Gemini answers at names that private addresses do not
	// serve.
	s := deployable(t, "prod")
	s.set("ingestion:gemini", map[string]any{"location": "us"})
	s.edit(t, "ingestion:network", func(n map[string]any) { n["googleApis"] = "private" })
	if got := mistakes(t, s); len(got) != 1 || !strings.HasPrefix(got[0], "ingestion:network.googleApis: private does not reach Gemini in us") {
		t.Errorf("got %q", got)
	}
}
