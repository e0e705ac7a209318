package email

import (
	"net/mail"
	"strings"
	"testing"

	"ingestion.internal/shared/crm"
)

func TestDigest(t *testing.T) {
	t.Parallel()
	low, bare := kitchen(), crm.Lead{RequestID: "r9"}
	low.RequestID, low.LeadScore, low.Customer.Name = "r2", ptr(int64(10)), "Bob"
	m, err := ComposeDigest("id", mail.Address{Address: "leads@example.com"}, "a@example.com", []crm.Lead{bare, low, hostile(), kitchen()})
	if err != nil {
		t.Fatal(err)
	}
	if m.ID != "id" || m.To != "a@example.com" || m.Template != DigestTemplate || !strings.HasPrefix(m.Subject, "4 leads, the best from") {
		t.Errorf("message %+v", m)
	}
	// The best first, and those without a score last.
	if i, j, k := strings.Index(m.Text, "Mary Ann Lee"), strings.Index(m.Text, "Bob"), strings.Index(m.Text, "unknown customer"); i < 0 || i > j || j > k {
		t.Errorf("order of %d, %d, %d in\n%s", i, j, k, m.Text)
	}
	for _, bad := range []string{"<script", "<img", "<a ", "\x00", "\u202E"} {
		if strings.Contains(m.HTML, bad) {
			t.Errorf("the HTML contains %q", bad)
		}
	}
	one, err := RenderDigest([]crm.Lead{kitchen()})
	if err != nil || !strings.HasPrefix(one.Subject, "1 lead, the best from Mary Ann Lee (82/100)") {
		t.Errorf("%q, %v", one.Subject, err)
	}
}

func TestDigestID(t *testing.T) {
	t.Parallel()
	id := DigestID("acme", "a@example.com", []string{"r1", "r2"})
	if id != DigestID("acme", " A@example.com", []string{"r2", "r1"}) || len(id) != 32 {
		t.Errorf("id %q depends on the order", id)
	}
	for _, other := range []string{DigestID("acme", "a@example.com", []string{"r1"}), DigestID("bolt", "a@example.com", []string{"r1", "r2"}),
		DigestID("acme", "b@example.com", []string{"r1", "r2"}), MessageID("acme", "r1", "a@example.com")} {
		if other == id {
			t.Error("two mails have one id")
		}
	}
}
