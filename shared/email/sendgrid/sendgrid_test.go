package sendgrid

import (
	"fmt"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/crm/vendorapi"
	"ingestion.internal/shared/crm/vendorapi/vendortest"
	"ingestion.internal/shared/email"
)

// The bodies in this file have the forms documented at, read 2026-11-22:
//   - www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send
//   - www.twilio.com/docs/sendgrid/api-reference/mail-send/errors
//   - www.twilio.com/docs/sendgrid/api-reference/how-to-use-the-sendgrid-v3-api/responses

func message() email.Message {
	return email.Message{
		ID: "0123", From: mail.Address{Name: "Leads", Address: "leads@example.com"}, To: "sales@company.com",
		Template: "lead/v1", Subject: "Lead 82/100: Mary", Text: "text", HTML: "<p>html</p>",
	}
}

func newClient(t *testing.T, url string) *Client {
	t.Helper()
	c, err := New(Settings{Key: "SG.test", From: "Leads <leads@example.com>", ReplyTo: "office@example.com", BaseURL: url + "/"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSend(t *testing.T) {
	t.Parallel()
	srv := vendortest.New(t,
		vendortest.Answer{Status: 202, Header: map[string]string{"X-Message-Id": "14c5d75ce93"}},
		vendortest.Answer{Status: 200, Header: map[string]string{"X-Message-Id": "s1"}},
	)
	c := newClient(t, srv.URL)
	for _, want := range []Receipt{{ProviderID: "14c5d75ce93", Queued: true}, {ProviderID: "s1"}} {
		got, err := c.Send(t.Context(), message())
		if err != nil || got != want {
			t.Errorf("Send = %+v, %v; want %+v", got, err, want)
		}
	}
	r := srv.Requests()[0]
	want := `{"personalizations":[{"to":[{"email":"sales@company.com"}],"custom_args":{"message_id":"0123"}}],"from":{"email":"leads@example.com","name":"Leads"},"subject":"Lead 82/100: Mary","content":[{"type":"text/plain","value":"text"},{"type":"text/html","value":"\u003cp\u003ehtml\u003c/p\u003e"}],"categories":["lead/v1"]}`
	if r.Method != "POST" || r.Path != "/v3/mail/send" || r.Header.Get("Authorization") != "Bearer SG.test" || r.Header.Get("Accept") != "application/json" {
		t.Errorf("request = %+v", r)
	}
	if diff := cmp.Diff(want, r.Body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

func TestReplyTo(t *testing.T) {
	t.Parallel()
	m := message()
	m.ReplyTo, m.Template = "mary@example.com", ""
	body, err := Body(m)
	if err != nil || !strings.Contains(string(body), `"reply_to":{"email":"mary@example.com"}`) || strings.Contains(string(body), "categories") {
		t.Errorf("Body = %s, %v", body, err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	reset := fmt.Sprint(time.Now().Add(30 * time.Minute).Unix())
	for name, tc := range map[string]struct {
		answer  vendortest.Answer
		kind    vendorapi.Kind
		reason  string
		waitMin time.Duration
	}{
		"invalid": {vendortest.Answer{Status: 400, Body: `{"errors":[{"message":"Does not contain a valid address.","field":"personalizations.0.to.0.email","help":"http://sendgrid.com/docs"},{"message":"Bad","field":null}]}`},
			vendorapi.Permanent, "personalizations.0.to.0.email: Does not contain a valid address.; Bad", 0},
		"key": {vendortest.Answer{Status: 401, Body: `{"errors":[{"message":"The provided authorization grant is invalid, expired, or revoked","field":null,"help":null}]}`},
			vendorapi.Credentials, "authorization grant is invalid", 0},
		"sender": {vendortest.Answer{Status: 403, Body: `{"errors":[{"message":"The from address does not match a verified Sender Identity.","field":"from","help":"x"}]}`},
			vendorapi.Credentials, "from: The from address", 0},
		"too_large":   {vendortest.Answer{Status: 413, Body: `{"errors":[{"message":"too large"}]}`}, vendorapi.Permanent, "too large", 0},
		"limit":       {vendortest.Answer{Status: 429, Header: map[string]string{"X-RateLimit-Reset": reset}, Body: `{"errors":[{"field":null,"message":"too many requests"}]}`}, vendorapi.Retryable, "too many requests", 29 * time.Minute},
		"retry_after": {vendortest.Answer{Status: 429, Header: map[string]string{"X-RateLimit-Reset": reset, "Retry-After": "5"}}, vendorapi.Retryable, "", 5 * time.Second},
		"down":        {vendortest.Answer{Status: 503, Body: "oops"}, vendorapi.Retryable, "oops", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := vendortest.New(t, tc.answer)
			_, err := newClient(t, srv.URL).Send(t.Context(), message())
			wait := vendorapi.RetryAfter(err)
			if err == nil || vendorapi.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.reason) || wait < tc.waitMin || wait > tc.waitMin+time.Minute {
				t.Errorf("Send = %v, want kind %v, %q and a wait of %v", err, tc.kind, tc.reason, tc.waitMin)
			}
		})
	}
}

func TestUntilReset(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	for value, want := range map[string]time.Duration{"": 0, "x": 0, "900": 0, "1010": 10 * time.Second, "99999": time.Hour} {
		if got := untilReset(value, now); got != want {
			t.Errorf("untilReset(%q) = %v, want %v", value, got, want)
		}
	}
}

func TestBadRecipientIsPermanent(t *testing.T) {
	t.Parallel()
	m := message()
	m.To = "sales at company"
	_, err := newClient(t, vendortest.New(t).URL).Send(t.Context(), m)
	if err == nil || vendorapi.KindOf(err) != vendorapi.Permanent {
		t.Errorf("Send = %v, want a permanent error and no call", err)
	}
}

func TestUnreachableIsRetryable(t *testing.T) {
	t.Parallel()
	if _, err := newClient(t, "http://127.0.0.1:1").Send(t.Context(), message()); err == nil || vendorapi.KindOf(err) != vendorapi.Retryable {
		t.Errorf("Send = %v, want a retryable error", err)
	}
}

func TestComposeUsesTheSettings(t *testing.T) {
	t.Parallel()
	got, err := newClient(t, "https://api.sendgrid.com").Compose([]string{"a@example.com"}, crm.Lead{TenantID: "acme", RequestID: "r1"})
	if err != nil || len(got) != 1 || got[0].From.Address != "leads@example.com" || got[0].From.Name != "Leads" || got[0].ReplyTo != "office@example.com" || got[0].Template != email.DefaultTemplate {
		t.Errorf("Compose = %+v, %v", got, err)
	}
}

func TestNewReportsMistakes(t *testing.T) {
	t.Parallel()
	for want, settings := range map[string]Settings{
		"": {Key: "k", From: "a@example.com", Template: "lead/v1"},
		"sendgrid: key: is missing\nfrom: is no address": {},
		"template: unknown \"lead/v9\"; known are":       {Key: "k", From: "a@example.com", Template: "lead/v9"},
	} {
		c, err := New(settings, nil)
		if (err == nil) != (want == "") || (c == nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, %v, want %q", c, err, want)
		}
	}
}
