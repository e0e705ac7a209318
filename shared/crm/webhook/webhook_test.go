package webhook

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/crm/vendorapi"
	"ingestion.internal/shared/crm/vendorapi/vendortest"
)

const secret = "0123456789abcdef"

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func lead() crm.Lead {
	score := int64(82)
	return crm.Lead{
		TenantID: "acme", RequestID: "r1", Source: "website_form", Mode: "form", ReceivedAt: now,
		Customer: crm.Customer{Name: "Mary Lee", Email: "mary@example.com"}, LeadScore: &score,
		Reasons: []string{"a", "b"}, Analysis: map[string]any{"intent": "quote"},
	}
}

func newConnector(t *testing.T, url string, fields map[string]string) *Connector {
	t.Helper()
	m, err := crm.Compile(fields, "webhook")
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Settings{URL: url, Secret: secret}, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.now = func() time.Time { return now }
	return c
}

func TestUpsertSendsWhatItSigns(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fields map[string]string
		answer vendortest.Answer
		body   string
		want   crm.Result
	}{
		"mapped": {
			map[string]string{"name|last_name": "contact.last", "lead_score": "score"},
			vendortest.Answer{Status: 201, Body: `{"id":"7"}`},
			`{"contact":{"last":"Lee"},"score":82}`,
			crm.Result{RecordID: "7", Created: true},
		},
		"whole": {
			nil,
			vendortest.Answer{Status: 202, Body: `thanks`},
			`{"request_id":"r1","tenant_id":"acme","source":"website_form","communication_mode":"form","received_at":"2026-11-22T12:00:00Z","name":"Mary Lee","email":"mary@example.com","lead_score":82,"reasons":["a","b"],"analysis":{"intent":"quote"}}`,
			crm.Result{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := vendortest.New(t, tc.answer)
			c := newConnector(t, srv.URL+"/in?key=hunter2", tc.fields)
			got, err := c.Upsert(t.Context(), lead())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			r := srv.Requests()[0]
			if r.Method != http.MethodPost || r.Path != "/in?key=hunter2" || r.Body != tc.body || r.Header.Get("Idempotency-Key") != "r1" || r.Header.Get("Content-Type") != "application/json" {
				t.Errorf("request = %+v, want body %s", r, tc.body)
			}
			if err := Verify(secret, r.Header, []byte(r.Body), now); err != nil {
				t.Error(err)
			}
			calls, err := c.Preview(lead())
			if err != nil || string(calls[0].Body) != r.Body || calls[0].URL != srv.URL+"/in?..." {
				t.Errorf("Preview = %+v, %v", calls, err)
			}
		})
	}
}

// TestSignature pins the scheme, so that receivers can rely on it. The value is
//
//	printf '1795348800.{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef
func TestSignature(t *testing.T) {
	t.Parallel()
	const signature = "v1=63399d781c189d35da3b3bef4385fc2ae286aee6d7211cdcd778c5dee1f5de17"
	header := func(timestamp, signature string) http.Header {
		return http.Header{HeaderTimestamp: {timestamp}, HeaderSignature: {signature}}
	}
	at := time.Unix(1795348800, 0)
	for name, tc := range map[string]struct {
		header http.Header
		body   string
		secret string
		now    time.Time
		want   string
	}{
		"good":         {header("1795348800", signature), `{"a":1}`, secret, at, ""},
		"at_the_edge":  {header("1795348800", signature), `{"a":1}`, secret, at.Add(Tolerance), ""},
		"old":          {header("1795348800", signature), `{"a":1}`, secret, at.Add(Tolerance + time.Second), "more than"},
		"from_future":  {header("1795348800", signature), `{"a":1}`, secret, at.Add(-Tolerance - time.Second), "more than"},
		"other_body":   {header("1795348800", signature), `{"a":2}`, secret, at, "does not fit"},
		"other_secret": {header("1795348800", signature), `{"a":1}`, "x" + secret, at, "does not fit"},
		"other_time":   {header("1795348801", signature), `{"a":1}`, secret, at, "does not fit"},
		"no_scheme":    {header("1795348800", strings.TrimPrefix(signature, "v1=")), `{"a":1}`, secret, at, "does not fit"},
		"no_hex":       {header("1795348800", "v1=zz"), `{"a":1}`, secret, at, "does not fit"},
		"no_signature": {header("1795348800", ""), `{"a":1}`, secret, at, "does not fit"},
		"no_time":      {header("", signature), `{"a":1}`, secret, at, "is no number"},
	} {
		err := Verify(tc.secret, tc.header, []byte(tc.body), tc.now)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: Verify = %v, want %q", name, err, tc.want)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer vendortest.Answer
		want   vendorapi.Kind
	}{
		"limit":        {vendortest.Answer{Status: 429, Header: map[string]string{"Retry-After": "9"}}, vendorapi.Retryable},
		"unauthorized": {vendortest.Answer{Status: 401, Body: "bad signature"}, vendorapi.Credentials},
		"gone":         {vendortest.Answer{Status: 410}, vendorapi.Permanent},
		"moved":        {vendortest.Answer{Status: 301, Header: map[string]string{"Location": "/x"}}, vendorapi.Permanent},
		"conflict":     {vendortest.Answer{Status: 409}, vendorapi.Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := vendortest.New(t, tc.answer)
			_, err := newConnector(t, srv.URL, nil).Upsert(t.Context(), lead())
			if err == nil || vendorapi.KindOf(err) != tc.want || tc.answer.Status == 429 && vendorapi.RetryAfter(err) != 9*time.Second {
				t.Errorf("Upsert = %v, want kind %v", err, tc.want)
			}
		})
	}
	t.Run("unreachable", func(t *testing.T) {
		t.Parallel()
		_, err := newConnector(t, "http://127.0.0.1:1/?key=hunter2", nil).Upsert(t.Context(), lead())
		if err == nil || vendorapi.KindOf(err) != vendorapi.Retryable || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Upsert = %v, want a retryable error without the address", err)
		}
	})
}

func TestNewReportsAllMistakes(t *testing.T) {
	t.Parallel()
	_, err := New(Settings{URL: "ftp://x", Secret: "short"}, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "url: must be https") || !strings.Contains(err.Error(), "secret: has 5 bytes, needs 16") || strings.Contains(err.Error(), "short\"") {
		t.Errorf("New = %v, want both mistakes", err)
	}
}

func TestDocumentOfAnUnanalysedLead(t *testing.T) {
	t.Parallel()
	body, _, err := newConnector(t, "https://hooks.example.com", nil).body(&crm.Lead{TenantID: "acme", RequestID: "r1"})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if _, ok := got["lead_score"]; ok || len(got) != 5 {
		t.Errorf("document = %s, want only what is known", body)
	}
}
