package sendgrid_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ingestion.internal/local/standin/fault"
	standin "ingestion.internal/local/standin/sendgrid"
	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/crm/vendorapi"
	"ingestion.internal/shared/email"
	"ingestion.internal/shared/email/sendgrid"
)

func start(t *testing.T) (*standin.Server, string) {
	t.Helper()
	s := standin.New(standin.Config{
		Authorize: func(key string) (string, bool) { return "acme", key == "SG.good" },
		Senders:   []string{"Leads@example.com"},
	})
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return s, srv.URL
}

func client(t *testing.T, url, key string) *sendgrid.Client {
	t.Helper()
	c, err := sendgrid.New(sendgrid.Settings{Key: key, From: "Leads <leads@example.com>", BaseURL: url}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func compose(t *testing.T) email.Message {
	t.Helper()
	m, err := client(t, "https://api.sendgrid.com", "SG.good").Compose([]string{"sales@company.com"},
		crm.Lead{TenantID: "acme", RequestID: "r1", Customer: crm.Customer{Name: "Mary <b>Lee</b>"}})
	if err != nil {
		t.Fatal(err)
	}
	return m[0]
}

func TestAComposedMailArrives(t *testing.T) {
	t.Parallel()
	s, url := start(t)
	m := compose(t)
	receipt, err := client(t, url, "SG.good").Send(t.Context(), m)
	if err != nil || !receipt.Queued {
		t.Fatalf("Send = %+v, %v", receipt, err)
	}
	want := []standin.Message{{ID: receipt.ProviderID, Account: "acme", From: `"Leads" <leads@example.com>`, To: "sales@company.com",
		Subject: m.Subject, Text: m.Text, HTML: m.HTML, CustomArgs: map[string]string{"message_id": m.ID}, Categories: []string{"lead/v1"}}}
	if diff := cmp.Diff(want, s.Messages(), cmpopts.IgnoreFields(standin.Message{}, "ReceivedAt")); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s, url := start(t)
	for name, tc := range map[string]struct {
		key   string
		fault fault.Fault
		edit  func(*email.Message)
		kind  vendorapi.Kind
		want  string
	}{
		"key":       {"SG.bad", fault.Fault{}, nil, vendorapi.Credentials, "authorization grant"},
		"sender":    {"SG.good", fault.Fault{}, func(m *email.Message) { m.From.Address = "eve@example.com" }, vendorapi.Credentials, "Sender Identity"},
		"from":      {"SG.good", fault.Fault{}, func(m *email.Message) { m.From.Address = "" }, vendorapi.Permanent, "from.email"},
		"no_text":   {"SG.good", fault.Fault{}, func(m *email.Message) { m.Text = "" }, vendorapi.Permanent, "content.0.value"},
		"subject":   {"SG.good", fault.Fault{}, func(m *email.Message) { m.Subject = "" }, vendorapi.Permanent, "subject"},
		"too_large": {"SG.good", fault.Fault{}, func(m *email.Message) { m.HTML = strings.Repeat("x", 31<<20) }, vendorapi.Permanent, "too large"},
		"limit":     {"SG.good", fault.Fault{Mode: fault.RateLimit, Count: 1}, nil, vendorapi.Retryable, "retry after 1s"},
		"down":      {"SG.good", fault.Fault{Mode: fault.Fail, Count: 1}, nil, vendorapi.Retryable, "HTTP 503"},
	} {
		if tc.fault.Mode != "" {
			if err := s.Faults.Set(tc.fault); err != nil {
				t.Fatal(err)
			}
		}
		m := compose(t)
		if tc.edit != nil {
			tc.edit(&m)
		}
		if _, err := client(t, url, tc.key).Send(t.Context(), m); err == nil || vendorapi.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want kind %v and %q", name, err, tc.kind, tc.want)
		}
	}
	if n := len(s.Messages()); n != 0 {
		t.Errorf("%d messages were kept of those that were refused", n)
	}
}

func TestWireRefusals(t *testing.T) {
	t.Parallel()
	_, url := start(t)
	content := `"content":[{"type":"text/plain","value":"x"}]`
	for name, body := range map[string]string{
		"no_json":             `?`,
		"no_personalizations": `{"from":{"email":"leads@example.com"},"subject":"s",` + content + `}`,
		"too_many":            `{"personalizations":[{}` + strings.Repeat(",{}", 1000) + `]}`,
		"no_recipient":        `{"personalizations":[{"to":[]}],"from":{"email":"leads@example.com"},"subject":"s",` + content + `}`,
		"bad_recipient":       `{"personalizations":[{"to":[{"email":"x"}]}],"from":{"email":"leads@example.com"},"subject":"s",` + content + `}`,
		"no_content":          `{"personalizations":[{"to":[{"email":"a@b.c"}]}],"from":{"email":"leads@example.com"},"subject":"s"}`,
		"text_last":           `{"personalizations":[{"to":[{"email":"a@b.c"}]}],"from":{"email":"leads@example.com"},"subject":"s","content":[{"type":"text/html","value":"x"},{"type":"text/plain","value":"x"}]}`,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v3/mail/send", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer SG.good")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: HTTP %d, want 400", name, resp.StatusCode)
		}
	}
}

func TestAStalledServerMeetsTheCallersPatience(t *testing.T) {
	t.Parallel()
	s, url := start(t)
	if err := s.Faults.Set(fault.Fault{Mode: fault.Stall}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Faults.Clear)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := client(t, url, "SG.good").Send(ctx, compose(t))
	if !errors.Is(err, context.DeadlineExceeded) || vendorapi.KindOf(err) != vendorapi.Retryable {
		t.Errorf("Send = %v, want a retryable error", err)
	}
}
