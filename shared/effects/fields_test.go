package effects

import (
	"strings"
	"testing"
	"time"

	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/workflow"
)

// TestFieldsOfTheWorkflow turns every field of the workflow that says what
// follows from a decision on, off and to its edges, and sees what is planned.
func TestFieldsOfTheWorkflow(t *testing.T) {
	t.Parallel()
	score := func(n int64) *int64 { return &n }
	qualified := func(s *int64) crm.Lead { return crm.Lead{Decision: string(workflow.Qualified), LeadScore: s} }
	const crmOn = `"crm_integration": {"enabled": true, "provider": "hubspot"`
	const mailOn = `"email_notifications": {"enabled": true, "recipients": ["a@b.example"]`
	for _, tc := range []struct {
		field, document string
		lead            crm.Lead
		want            string // what is due, in order
	}{
		{"crm_integration.enabled", `{}`, qualified(score(80)), ""},
		{"crm_integration.enabled", `{` + crmOn + `}}`, qualified(score(80)), "crm hubspot immediate"},
		{"crm_integration.enabled", `{"crm_integration": {"enabled": false, "provider": "hubspot"}}`, qualified(score(80)), ""},
		{"crm_integration.provider", `{"crm_integration": {"enabled": true, "provider": "webhook"}}`, qualified(score(80)), "crm webhook immediate"},
		{"crm_integration.push_immediately", `{` + crmOn + `, "push_immediately": true}}`, qualified(score(80)), "crm hubspot immediate"},
		{"crm_integration.push_immediately", `{` + crmOn + `, "push_immediately": false}}`, qualified(score(80)), "crm hubspot batch 2026-11-25T12:15:00Z"},
		{"email_notifications.enabled", `{` + mailOn + `}}`, qualified(score(80)), "email a@b.example immediate"},
		{"email_notifications.enabled", `{"email_notifications": {"enabled": false, "recipients": ["a@b.example"]}}`, qualified(score(80)), ""},
		{"email_notifications.recipients", `{"email_notifications": {"enabled": true, "recipients": ["a@b.example", "c@d.example"]}}`, qualified(score(80)),
			"email a@b.example immediate, email c@d.example immediate"},
		{"email_notifications.conditions.min_lead_score", `{` + mailOn + `}}`, qualified(score(29)), ""},
		{"email_notifications.conditions.min_lead_score", `{` + mailOn + `}}`, qualified(score(30)), "email a@b.example immediate"},
		{"email_notifications.conditions.min_lead_score", `{` + mailOn + `, "conditions": {"min_lead_score": 100}}}`, qualified(score(99)), ""},
		{"email_notifications.conditions.min_lead_score", `{` + mailOn + `, "conditions": {"min_lead_score": 100}}}`, qualified(score(100)), "email a@b.example immediate"},
		{"email_notifications.conditions.min_lead_score", `{` + mailOn + `, "conditions": {"min_lead_score": 0}}}`, qualified(score(0)), "email a@b.example immediate"},
		{"email_notifications.conditions.min_lead_score", `{` + mailOn + `, "conditions": {"min_lead_score": 0}}}`, qualified(nil), "email a@b.example immediate"},
		{"email_notifications.conditions.min_lead_score", `{` + mailOn + `, "conditions": {"min_lead_score": 1}}}`, qualified(nil), ""},
		{"both, for a person to look", `{` + crmOn + `}, ` + mailOn + `}}`, crm.Lead{Decision: string(workflow.NeedsReview), LeadScore: score(80)},
			"crm hubspot immediate, email a@b.example immediate"},
		{"both, held back", `{` + crmOn + `}, ` + mailOn + `}}`, crm.Lead{Decision: string(workflow.Spam), LeadScore: score(80)}, ""},
		{"both, out of area", `{` + crmOn + `}, ` + mailOn + `}}`, crm.Lead{Decision: string(workflow.OutOfArea), LeadScore: score(80)}, ""},
	} {
		cfg, err := workflow.Parse([]byte(tc.document), "w")
		if err != nil {
			t.Errorf("%s: %v", tc.field, err)
			continue
		}
		var due []string
		for _, s := range Plan(cfg, tc.lead, time.Date(2026, 11, 25, 12, 7, 0, 0, time.UTC), 15*time.Minute) {
			if !s.Due {
				if s.Reason == "" {
					t.Errorf("%s: %s is not due, without a reason", tc.field, s.Kind)
				}
				continue
			}
			line := s.Kind + " " + s.Target + " " + s.Mode
			if !s.NotBefore.IsZero() {
				line += " " + s.NotBefore.Format(time.RFC3339)
			}
			due = append(due, line)
		}
		if got := strings.Join(due, ", "); got != tc.want {
			t.Errorf("%s: %s plans %q, want %q", tc.field, tc.document, got, tc.want)
		}
	}
}
