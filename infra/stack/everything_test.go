package stack

import "testing"

// everything is the prod stack with a tenant and every option on that prod
// leaves off, as far as options go together. A family that config switches on
// has its line here.
func everything(t *testing.T) *settings {
	t.Helper()
	s := deployable(t, "prod")
	s.edit(t, "ingestion:spanner", func(m map[string]any) { m["instance"], m["createInstance"] = "ingestion", true })
	s.edit(t, "ingestion:keys", func(m map[string]any) {
		m["enabled"], m["spanner"], m["tasks"], m["protectionLevel"] = true, true, true, "HSM"
	})
	s.edit(t, "ingestion:exports", func(m map[string]any) { m["enabled"] = true })
	s.edit(t, "ingestion:audit", func(m map[string]any) { m["enabled"], m["reads"] = true, true })
	s.set("ingestion:budget", map[string]any{"billingAccount": "012345-6789AB-CDEF01", "projectNumber": "123456789012"})
	s.set("ingestion:monitoring", map[string]any{"logs": map[string]any{"auditRetentionDays": 400}, "channels": map[string]any{
		"mail":  map[string]any{"type": "email", "address": "ops@example.com"},
		"pager": map[string]any{"type": "pagerduty", "secret": map[string]any{"secure": ""}, "severities": []any{"CRITICAL"}},
	}})
	s.set("ingestion:tenants", map[string]any{"acme-remodeling": map[string]any{
		"name": "Acme Remodeling",
		"secrets": map[string]any{
			"callrailSigningKey": map[string]any{"secure": ""},
			"callrailApiKey":     map[string]any{"secure": ""},
		},
		"offices": map[string]any{"main": map[string]any{
			"name": "Main office", "callrailAccountId": "ACC1", "callrailCompanyId": "123456789",
		}},
	}})
	edgeOn(s)
	s.edit(t, "ingestion:deployer", func(m map[string]any) {
		m["repository"], m["repositoryId"] = "boost/ingestion", "712345678"
	})
	s.set("ingestion:documentAi", map[string]any{"enabled": true})
	s.set("ingestion:rollout", map[string]any{"serving": map[string]any{"intake-api": "intake-api-00007-abc"}, "percent": 5})
	s.edit(t, "ingestion:organization", func(m map[string]any) {
		m["policies"], m["locations"], m["ingress"] = true, []any{"in:us-locations"}, []any{"all", "internal"}
	})
	return s
}
