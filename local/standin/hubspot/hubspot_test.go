package hubspot_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/local/standin/fault"
	"ingestion.internal/local/standin/hubspot"
	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/crm/connectors"
	"ingestion.internal/shared/crm/vendorapi"
	"ingestion.internal/shared/integrations"
)

func start(t *testing.T) (*hubspot.Server, string) {
	t.Helper()
	s := hubspot.New(hubspot.Config{
		Authorize: func(token string) (string, bool) {
			return strings.TrimPrefix(token, "pat-"), strings.HasPrefix(token, "pat-")
		},
		UniqueContactProperties: []string{"lead_phone"},
		UniqueNoteProperties:    []string{"lead_request_id"},
	})
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return s, srv.URL
}

func open(t *testing.T, url, token string) crm.Connector {
	t.Helper()
	c, err := connectors.Open("hubspot",
		integrations.Settings{HubSpot: &integrations.HubSpot{Token: token, BaseURL: url, PhoneProperty: "lead_phone", NoteProperty: "lead_request_id"}},
		map[string]string{"name": "firstname", "email": "email", "phone|e164": "lead_phone", "lead_score": "hs_lead_score"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func lead(n int, email, phone string) crm.Lead {
	score := int64(50 + n)
	return crm.Lead{TenantID: "acme", RequestID: fmt.Sprintf("r%d", n), ReceivedAt: time.Unix(1_700_000_000, 0), LeadScore: &score,
		Customer: crm.Customer{Name: "Mary", Email: email, Phone: phone}}
}

func TestOneCustomerIsOneContactWithANotePerRequest(t *testing.T) {
	t.Parallel()
	s, url := start(t)
	c := open(t, url, "pat-acme")
	first, err := c.Upsert(t.Context(), lead(1, "Mary@Example.com", "(310) 555-0123"))
	if err != nil || !first.Created {
		t.Fatalf("first push: %+v, %v", first, err)
	}
	again, err := c.Upsert(t.Context(), lead(1, "mary@example.com", "(310) 555-0123"))
	if err != nil || again.Created || again.RecordID != first.RecordID {
		t.Errorf("the same push again: %+v, %v, want an update of %s", again, err, first.RecordID)
	}
	call, err := c.Upsert(t.Context(), lead(2, "", "310-555-0123"))
	if err != nil || call.RecordID != first.RecordID {
		t.Errorf("a call of the same customer: %+v, %v, want contact %s", call, err, first.RecordID)
	}
	a := s.Account("acme")
	if len(a.Contacts) != 1 || len(a.Notes) != 2 {
		t.Fatalf("account = %d contacts, %d notes; want 1 and 2", len(a.Contacts), len(a.Notes))
	}
	want := map[string]string{"firstname": "Mary", "email": "mary@example.com", "lead_phone": "+13105550123", "hs_lead_score": "52"}
	if diff := cmp.Diff(want, a.Contacts[0].Properties); diff != "" {
		t.Errorf("contact (-want +got):\n%s", diff)
	}
	for _, n := range a.Notes {
		if diff := cmp.Diff([]string{first.RecordID}, n.Contacts); diff != "" {
			t.Errorf("note %s hangs on (-want +got):\n%s", n.ID, diff)
		}
	}
	if other := s.Account("other"); len(other.Contacts) != 0 {
		t.Errorf("another account has %v", other)
	}
}

func TestBatchWithConflictAndBadAddress(t *testing.T) {
	t.Parallel()
	s, url := start(t)
	c := open(t, url, "pat-acme")
	got := crm.UpsertAll(t.Context(), c, []crm.Lead{
		lead(1, "a@example.com", "(310) 555-0101"),
		lead(2, "b@example.com", "(310) 555-0102"),
		lead(3, "a@example.com", "(310) 555-0102"), // a's address, b's telephone
		lead(4, "a@example.com", ""),
	})
	for i, want := range []string{"", "", "CONFLICT", ""} {
		if err := got[i].Err; (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || vendorapi.KindOf(err) != vendorapi.Conflict) {
			t.Errorf("outcome %d = %v, want %q", i, err, want)
		}
	}
	if a := s.Account("acme"); len(a.Contacts) != 2 || len(a.Notes) != 3 || got[3].Result.RecordID != got[0].Result.RecordID {
		t.Errorf("account has %d contacts and %d notes, want 2 and 3", len(a.Contacts), len(a.Notes))
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	s, url := start(t)
	if _, err := open(t, url, "wrong").Upsert(t.Context(), lead(1, "a@example.com", "")); vendorapi.KindOf(err) != vendorapi.Credentials || err == nil {
		t.Errorf("wrong token: %v, want an error of credentials", err)
	}
	c := open(t, url, "pat-acme")
	for mode, want := range map[fault.Mode]string{fault.RateLimit: "retry after 10s", fault.Fail: "HTTP 503", fault.Nonsense: "decoding"} {
		if err := s.Faults.Set(fault.Fault{Mode: mode, Count: 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Upsert(t.Context(), lead(1, "a@example.com", "")); err == nil || !strings.Contains(err.Error(), want) || vendorapi.KindOf(err) != vendorapi.Retryable {
			t.Errorf("%s: %v, want a retryable error with %q", mode, err, want)
		}
	}
	// The contact arrives and the note does not; the next try brings it.
	if err := s.Faults.Set(fault.Fault{Mode: fault.Fail, Count: 1, Path: "/associations/"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upsert(t.Context(), lead(1, "a@example.com", "")); err == nil {
		t.Error("a note that was not attached is no error")
	}
	if _, err := c.Upsert(t.Context(), lead(1, "a@example.com", "")); err != nil {
		t.Error(err)
	}
	if a := s.Account("acme"); len(a.Contacts) != 1 || len(a.Notes) != 1 || len(a.Notes[0].Contacts) != 1 {
		t.Errorf("account = %+v, want one contact with one note", a)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	_, url := start(t)
	const contacts = "/crm/objects/2026-03/contacts/batch/upsert"
	for name, tc := range map[string]struct {
		path, body string
		status     int
		want       string
	}{
		"not_unique":    {contacts, `{"inputs":[{"id":"x","idProperty":"firstname"}]}`, 400, "not a unique property"},
		"twice":         {contacts, `{"inputs":[{"id":"a@b.c","idProperty":"email"},{"id":"A@b.c","idProperty":"email"}]}`, 400, "Duplicate IDs"},
		"empty":         {contacts, `{"inputs":[]}`, 400, "1 to 100"},
		"no_json":       {contacts, `?`, 400, "Invalid input JSON"},
		"bad_address":   {contacts, `{"inputs":[{"id":"x","idProperty":"email","objectWriteTraceId":"t1"}]}`, 207, `"objectWriteTraceId":["t1"]`},
		"note_no_time":  {"/crm/objects/2026-03/notes/batch/upsert", `{"inputs":[{"id":"x","idProperty":"lead_request_id"}]}`, 207, "hs_timestamp"},
		"no_such_note":  {"/crm/associations/2026-03/notes/contacts/batch/associate/default", `{"inputs":[{"from":{"id":"1"},"to":{"id":"2"}}]}`, 207, "OBJECT_NOT_FOUND"},
		"links_no_json": {"/crm/associations/2026-03/notes/contacts/batch/associate/default", ``, 400, "Invalid input JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+tc.path, strings.NewReader(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer pat-acme")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != tc.status || !strings.Contains(string(body), tc.want) {
				t.Errorf("%d %s, %v; want %d with %q", resp.StatusCode, body, err, tc.status, tc.want)
			}
		})
	}
	resp, err := http.Get(url + "/_admin/accounts/nobody")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || strings.TrimSpace(string(body)) != `{"contacts":[],"notes":[]}` {
		t.Errorf("an account without records = %s, %v", body, err)
	}
}
