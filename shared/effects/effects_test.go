package effects

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/workflow"
)

var now = time.Date(2026, 11, 25, 10, 7, 0, 0, time.UTC)

func all() workflow.Config {
	c := workflow.Default()
	c.CRMIntegration = workflow.CRMIntegration{Enabled: true, Provider: "hubspot", PushImmediately: true}
	c.EmailNotifications = workflow.EmailNotifications{Enabled: true, Recipients: []string{" a@example.com", "A@example.com", "b@example.com"},
		Conditions: workflow.EmailConditions{MinLeadScore: 30}}
	return c
}

func score(n int64) *int64 { return &n }

// TestPlan turns everything that decides about an effect on and off, and to its
// edges.
func TestPlan(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change   func(*workflow.Config)
		decision workflow.Outcome
		score    *int64
		want     []string
	}{
		"qualified": {nil, workflow.Qualified, score(30), []string{
			"crm hubspot immediate: the decision is qualified, and leads are pushed to hubspot at once",
			"email a@example.com immediate: the lead score 30 reaches 30", "email b@example.com immediate: the lead score 30 reaches 30"}},
		"needs_review": {nil, workflow.NeedsReview, score(99), []string{
			"crm hubspot immediate: the decision is needs_review, and leads are pushed to hubspot at once",
			"email a@example.com immediate: the lead score 99 reaches 30", "email b@example.com immediate: the lead score 99 reaches 30"}},
		"spam": {nil, workflow.Spam, score(99), []string{
			"crm hubspot skipped: the decision is spam: it is held back", "email skipped: the decision is spam: it is held back"}},
		"out_of_area": {nil, workflow.OutOfArea, score(99), []string{
			"crm hubspot skipped: the decision is out_of_area: it is held back", "email skipped: the decision is out_of_area: it is held back"}},
		"an_outcome_nobody_knows": {nil, "curious", score(99), []string{
			"crm hubspot skipped: the decision is curious: it is held back", "email skipped: the decision is curious: it is held back"}},
		"low_score": {nil, workflow.Qualified, score(29), []string{
			"crm hubspot immediate: the decision is qualified, and leads are pushed to hubspot at once", "email skipped: the lead score 29 is below 30"}},
		"no_score": {nil, workflow.Qualified, nil, []string{
			"crm hubspot immediate: the decision is qualified, and leads are pushed to hubspot at once",
			"email skipped: the lead score is unknown, and mails need at least 30"}},
		"crm_off": {func(c *workflow.Config) { c.CRMIntegration.Enabled = false }, workflow.Qualified, score(10), []string{
			"crm hubspot skipped: the CRM integration is off", "email skipped: the lead score 10 is below 30"}},
		"mail_off": {func(c *workflow.Config) { c.EmailNotifications.Enabled = false }, workflow.Qualified, score(99), []string{
			"crm hubspot immediate: the decision is qualified, and leads are pushed to hubspot at once", "email skipped: e-mail notifications are off"}},
		"batch": {func(c *workflow.Config) {
			c.CRMIntegration.PushImmediately, c.EmailNotifications.Enabled = false, false
		}, workflow.Qualified, score(99), []string{
			"crm hubspot batch: the decision is qualified, and leads are pushed to hubspot in batches", "email skipped: e-mail notifications are off"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := all()
			if tc.change != nil {
				tc.change(&cfg)
			}
			steps := Plan(cfg, crm.Lead{Decision: string(tc.decision), LeadScore: tc.score}, now, 15*time.Minute)
			var got []string
			due := 0
			for _, s := range steps {
				got = append(got, s.String())
				if s.Due {
					due++
				}
				if batch := s.Mode == store.ModeBatch; batch == s.NotBefore.IsZero() || batch && !s.NotBefore.Equal(time.Date(2026, 11, 25, 10, 15, 0, 0, time.UTC)) {
					t.Errorf("%s leaves at %s", s, s.NotBefore)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("steps (-want +got)\n%s", diff)
			}
			if n := len(Planned(steps, &store.Request{})); n != due {
				t.Errorf("%d planned, %d due", n, due)
			}
			for i, e := range Entries(steps) {
				if want := map[bool]string{true: ".planned", false: ".skipped"}[steps[i].Due]; !strings.HasSuffix(e.Action, want) || e.Reason != steps[i].Reason {
					t.Errorf("entry %+v of step %s", e, steps[i])
				}
			}
		})
	}
}

func TestLead(t *testing.T) {
	t.Parallel()
	spam := 3.5
	r := &store.Request{TenantID: "acme", RequestID: "r1", Source: "s", CommunicationMode: "form", CallID: "c", ReceivedAt: now,
		CustomerName: "Mary", CustomerPhone: "1", CustomerEmail: "m@example.com", PostalCode: "90210", LeadScore: score(82), SpamLikelihood: &spam,
		Decision: "qualified", DecisionReasons: []string{"why"}, Analysis: []byte(`{"summary": "A kitchen.", "intent": "quote"}`)}
	want := crm.Lead{TenantID: "acme", RequestID: "r1", OfficeID: "o", OfficeName: "Office", Source: "s", Mode: "form", CallID: "c", ReceivedAt: now,
		Customer:  crm.Customer{Name: "Mary", Phone: "1", Email: "m@example.com", PostalCode: "90210"},
		LeadScore: score(82), SpamLikelihood: &spam, Decision: "qualified", Reasons: []string{"why"}, Summary: "A kitchen.",
		Analysis: map[string]any{"summary": "A kitchen.", "intent": "quote"}}
	got, err := Lead(r, &store.Office{OfficeID: "o", Name: "Office"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lead (-want +got)\n%s", diff)
	}
	if _, err := Lead(&store.Request{Analysis: []byte(`[]`)}, nil); err == nil {
		t.Error("an analysis of another shape is taken")
	}
}

func TestInput(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		request store.Request
		missing string
		err     string
	}{
		"form":         {store.Request{CommunicationMode: store.ModeForm}, "", ""},
		"no_recording": {store.Request{CommunicationMode: store.ModePhoneCall}, "the call was not recorded", ""},
		"failed":       {store.Request{Transcription: []byte(`{"status":"failed","cause":"404"}`)}, "404", ""},
		"transcript":   {store.Request{Transcription: []byte(`[]`)}, "", "transcription_data"},
		"analysis":     {store.Request{Analysis: []byte(`[]`)}, "", "ai_analysis"},
	} {
		in, _, err := Input(&tc.request)
		if (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) || in.MissingContent != tc.missing {
			t.Errorf("%s: %+v, %v", name, in, err)
		}
	}
}

func BenchmarkPlan(b *testing.B) {
	cfg, lead := all(), crm.Lead{Decision: string(workflow.Qualified), LeadScore: score(82)}
	b.ReportAllocs()
	for b.Loop() {
		Plan(cfg, lead, now, time.Minute)
	}
}

// A mail is sent again about a conversation in which the customer was silent for
// long, and about nothing else.
func TestAgainAfter(t *testing.T) {
	t.Parallel()
	steps := []Step{{Kind: store.EffectCRM, Due: true}, {Kind: store.EffectEmail, Due: true}}
	last := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		mode, payload string
		want          time.Time
	}{
		"text":          {store.ModeText, `{"messages":[{"from":"customer","at":"2026-11-01T10:00:00Z"},{"from":"customer","at":"2026-11-26T10:00:00Z"},{"from":"business","at":"2026-11-27T10:00:00Z"}]}`, last.Add(-silence)},
		"chat":          {store.ModeChat, `{"messages":[{"from":"visitor","at":"2026-11-26T10:00:00Z"},{"from":"assistant","at":"2026-11-26T11:00:00Z"}]}`, last.Add(-silence)},
		"without_times": {store.ModeText, `{"messages":[{"from":"customer"}]}`, time.Time{}},
		"only_ours":     {store.ModeText, `{"messages":[{"from":"business","at":"2026-11-26T10:00:00Z"}]}`, time.Time{}},
		"nonsense":      {store.ModeText, `{"messages":7}`, time.Time{}},
		"call":          {store.ModeForm, `{"messages":[{"from":"customer","at":"2026-11-26T10:00:00Z"}]}`, time.Time{}},
	} {
		planned := Planned(steps, &store.Request{CommunicationMode: tc.mode, Payload: []byte(tc.payload)})
		if len(planned) != 2 || !planned[0].AgainAfter.IsZero() || !planned[1].AgainAfter.Equal(tc.want) {
			t.Errorf("%s: %+v, want again after %s", name, planned, tc.want)
		}
	}
}
