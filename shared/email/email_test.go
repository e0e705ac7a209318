package email

import (
	"flag"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/workflow"
)

var update = flag.Bool("update", false, "write the golden files")

func ptr[T any](v T) *T { return &v }

func kitchen() crm.Lead {
	return crm.Lead{
		TenantID: "acme", RequestID: "5f0c1a52-6a0a-5d53-9c1e-6f0f8f7a1d10", OfficeID: "north", OfficeName: "Acme North",
		Source: "callrail_webhook", Mode: "phone_call", ReceivedAt: time.Date(2026, 11, 20, 17, 30, 0, 0, time.UTC),
		Customer:  crm.Customer{Name: "Mary Ann Lee", Phone: "(310) 555-0123", Email: "mary@example.com", PostalCode: "90210"},
		LeadScore: ptr(int64(82)), SpamLikelihood: ptr(3.5), Decision: "qualified",
		Reasons:  []string{"spam likelihood 3.5 is below the threshold 75", "ZIP code 90210 is in the service area"},
		Summary:  "Wants a new kitchen, has a budget of $25,000.",
		Analysis: map[string]any{"intent": "quote_request", "project_type": "kitchen", "urgency": "high", "customer": map[string]any{"zip": "90210"}},
	}
}

// hostile tries to be markup, headers and other lines.
func hostile() crm.Lead {
	l := kitchen()
	l.Customer.Name = "<script>alert(1)</script>\r\nBcc: all@example.com"
	l.Customer.Email = `"><img src=x onerror=alert(1)>`
	l.Summary = "First.\n\nDecision:   approved\u2028Lead score: 100\x00 \u202Egnp.exe {{.RequestID}}"
	l.Reasons = []string{"</li></ul><a href=\"javascript:alert(1)\">click</a>"}
	l.Analysis = map[string]any{"intent": "</td><script>", "urgency": []any{"a", "b\nc"}}
	return l
}

func TestRenderGolden(t *testing.T) {
	t.Parallel()
	for name, lead := range map[string]crm.Lead{
		"full":    kitchen(),
		"hostile": hostile(),
		"bare":    {TenantID: "acme", RequestID: "r1", Decision: "needs_review"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := Render("", lead)
			if err != nil {
				t.Fatal(err)
			}
			for ext, got := range map[string]string{"txt": "Subject: " + c.Subject + "\n\n" + c.Text, "html": c.HTML} {
				path := filepath.Join("testdata", "lead-v1-"+name+"."+ext)
				if *update {
					if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), got); diff != "" {
					t.Errorf("%s (-want +got; -update writes it):\n%s", path, diff)
				}
			}
		})
	}
}

func TestHostileContentStaysContent(t *testing.T) {
	t.Parallel()
	c, err := Render(DefaultTemplate, hostile())
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(c.Subject, "\r\n") || len([]rune(c.Subject)) > maxSubject {
		t.Errorf("subject = %q", c.Subject)
	}
	for _, bad := range []string{"<script", "<img", "<a ", "\x00", "\u202E"} {
		if strings.Contains(c.HTML, bad) {
			t.Errorf("the HTML contains %q", bad)
		}
	}
	for l := range strings.Lines(c.Text) {
		if strings.HasPrefix(l, "Bcc:") || strings.HasPrefix(l, "Decision:   approved") || strings.HasPrefix(l, "Lead score: 100") {
			t.Errorf("the text has a forged line %q", l)
		}
	}
}

func TestRenderUnknownTemplate(t *testing.T) {
	t.Parallel()
	if _, err := Render("lead/v0", kitchen()); err == nil || !strings.Contains(err.Error(), `unknown template "lead/v0"; known are lead/v1`) {
		t.Errorf("Render = %v", err)
	}
	if _, err := Compose("../x", mail.Address{}, []string{"a@example.com"}, kitchen()); err == nil {
		t.Error("Compose takes an unknown template")
	}
}

func TestSubjectIsCut(t *testing.T) {
	t.Parallel()
	l := kitchen()
	l.Customer.Name = strings.Repeat("é", 300)
	c, err := Render("", l)
	if err != nil || len([]rune(c.Subject)) != maxSubject || !strings.HasSuffix(c.Subject, "…") {
		t.Errorf("subject of %d characters, %v", len([]rune(c.Subject)), err)
	}
}

func TestDue(t *testing.T) {
	t.Parallel()
	on := func(min int) workflow.EmailNotifications {
		return workflow.EmailNotifications{Enabled: true, Recipients: []string{"a@example.com"}, Conditions: workflow.EmailConditions{MinLeadScore: min}}
	}
	for name, tc := range map[string]struct {
		n      workflow.EmailNotifications
		score  *int64
		want   bool
		reason string
	}{
		"off":           {workflow.EmailNotifications{Recipients: []string{"a@example.com"}}, ptr(int64(99)), false, "e-mail notifications are off"},
		"no_recipients": {workflow.EmailNotifications{Enabled: true}, ptr(int64(99)), false, "there are no recipients"},
		"below":         {on(30), ptr(int64(29)), false, "the lead score 29 is below 30"},
		"at":            {on(30), ptr(int64(30)), true, "the lead score 30 reaches 30"},
		"above":         {on(30), ptr(int64(100)), true, "the lead score 100 reaches 30"},
		"unknown":       {on(1), nil, false, "the lead score is unknown, and mails need at least 1"},
		"unknown_all":   {on(0), nil, true, "every lead is mailed"},
		"zero":          {on(0), ptr(int64(0)), true, "every lead is mailed"},
	} {
		got, reason := Due(tc.n, crm.Lead{LeadScore: tc.score})
		if got != tc.want || reason != tc.reason {
			t.Errorf("%s: Due = %t, %q; want %t, %q", name, got, reason, tc.want, tc.reason)
		}
	}
}

func TestMessageID(t *testing.T) {
	t.Parallel()
	id := MessageID("acme", "r1", "a@example.com")
	if len(id) != 32 || id != MessageID("acme", "r1", " A@Example.com ") {
		t.Errorf("id = %q, want it not to depend on case and space", id)
	}
	for _, other := range []string{MessageID("acme", "r2", "a@example.com"), MessageID("acme", "r1", "b@example.com"), MessageID("acm", "er1", "a@example.com"), MessageID("acmer", "1", "a@example.com")} {
		if other == id {
			t.Error("two messages have one id")
		}
	}
}

func TestCompose(t *testing.T) {
	t.Parallel()
	from := mail.Address{Name: "Leads", Address: "leads@example.com"}
	got, err := Compose("", from, []string{"a@example.com", " b@example.com", "A@example.com"}, kitchen())
	if err != nil || len(got) != 2 {
		t.Fatalf("Compose = %d messages, %v; want 2", len(got), err)
	}
	if got[0].To != "a@example.com" || got[1].To != "b@example.com" || got[0].ID == got[1].ID || got[0].ID != MessageID("acme", kitchen().RequestID, "a@example.com") {
		t.Errorf("messages = %+v", got)
	}
	if m := got[0]; m.From != from || m.Template != "lead/v1" || m.Subject == "" || m.Text == "" || m.HTML == "" {
		t.Errorf("message = %+v", m)
	}
}

func BenchmarkRender(b *testing.B) {
	lead := kitchen()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Render("", lead); err != nil {
			b.Fatal(err)
		}
	}
}
