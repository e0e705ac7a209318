package hubspot

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/crm/vendorapi"
	"ingestion.internal/shared/crm/vendorapi/vendortest"
)

// The bodies in this file have the forms documented at, read 2026-11-22:
//   - developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/batch/upsert-contacts
//   - developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/batch/create-associations
//   - developers.hubspot.com/docs/api-reference/error-handling
//   - community.hubspot.com, quoting the usage guidelines, for the body of a 429

const requestID = "5f0c1a52-6a0a-5d53-9c1e-6f0f8f7a1d10"

func lead(edit ...func(*crm.Lead)) crm.Lead {
	score := int64(82)
	l := crm.Lead{
		TenantID:   "acme",
		RequestID:  requestID,
		Source:     "website_form",
		ReceivedAt: time.Date(2026, 11, 20, 17, 30, 0, 0, time.UTC),
		Customer:   crm.Customer{Name: "Mary Lee", Phone: "(310) 555-0123", Email: "Mary@Example.com"},
		LeadScore:  &score,
		Decision:   "qualified",
		Reasons:    []string{"ZIP code <90210> is in the service area"},
		Summary:    "Wants a new kitchen & bath.",
		Analysis:   map[string]any{"project_type": "kitchen"},
	}
	for _, e := range edit {
		e(&l)
	}
	return l
}

func newConnector(t *testing.T, settings Settings) *Connector {
	t.Helper()
	mapping, err := crm.Compile(map[string]string{"name": "firstname", "email": "email", "lead_score": "hs_lead_score"}, "hubspot")
	if err != nil {
		t.Fatal(err)
	}
	settings.Token = "pat-na1-test"
	c, err := New(settings, mapping, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestUpsertByEmailWithNote(t *testing.T) {
	t.Parallel()
	srv := vendortest.New(t,
		vendortest.Answer{Body: `{"completedAt":"2026-11-20T17:30:01Z","startedAt":"2026-11-20T17:30:01Z","status":"COMPLETE","results":[{"archived":false,"createdAt":"2026-11-20T17:30:01Z","updatedAt":"2026-11-20T17:30:01Z","id":"201","new":true,"properties":{"email":"mary@example.com","lastmodifieddate":null},"objectWriteTraceId":"` + requestID + `"}]}`},
		vendortest.Answer{Body: `{"status":"COMPLETE","results":[{"id":"901","new":true,"properties":{"lead_request_id":"` + requestID + `"}}]}`},
		vendortest.Answer{Body: `{"status":"COMPLETE","results":[{"associationSpec":{"associationCategory":"HUBSPOT_DEFINED","associationTypeId":202},"from":{"id":"901"},"to":{"id":"201"}}]}`},
	)
	c := newConnector(t, Settings{BaseURL: srv.URL + "/", NoteProperty: "lead_request_id"})
	got, err := c.Upsert(t.Context(), lead())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(crm.Result{RecordID: "201", Created: true}, got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	requests := srv.Requests()
	for i, want := range []string{contactsPath, notesPath, associationsPath} {
		r := requests[i]
		if r.Method != http.MethodPost || r.Path != want || r.Header.Get("Authorization") != "Bearer pat-na1-test" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("request %d is %s %s with %v, want POST %s", i, r.Method, r.Path, r.Header, want)
		}
	}
	wantContact := `{"inputs":[{"id":"mary@example.com","idProperty":"email","properties":{"email":"mary@example.com","firstname":"Mary Lee","hs_lead_score":"82"},"objectWriteTraceId":"` + requestID + `"}]}`
	if diff := cmp.Diff(wantContact, requests[0].Body); diff != "" {
		t.Errorf("contact (-want +got):\n%s", diff)
	}
	var note inputs
	if err := json.Unmarshal([]byte(requests[1].Body), &note); err != nil {
		t.Fatal(err)
	}
	p := note.Inputs[0].Properties
	body := p["hs_note_body"]
	for _, want := range []string{"qualified", "Wants a new kitchen &amp; bath.", "Lead score: 82", "ZIP code &lt;90210&gt;", "&#34;project_type&#34;: &#34;kitchen&#34;", requestID} {
		if !strings.Contains(body, want) {
			t.Errorf("note does not contain %q:\n%s", want, body)
		}
	}
	if note.Inputs[0].IDProperty != "lead_request_id" || note.Inputs[0].ID != requestID || p["lead_request_id"] != requestID || p["hs_timestamp"] != "2026-11-20T17:30:00Z" {
		t.Errorf("note = %+v", note.Inputs[0])
	}
	if want := `{"inputs":[{"from":{"id":"901"},"to":{"id":"201"}}]}`; requests[2].Body != want {
		t.Errorf("association = %s, want %s", requests[2].Body, want)
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		phoneProperty string
		email, phone  string
		want          string // idProperty=id
		wantErr       string
		notes         int
	}{
		"email":                  {"lead_phone", " Mary@Example.com ", "(310) 555-0123", "email=mary@example.com", "", 0},
		"phone":                  {"lead_phone", "", "(310) 555-0123", "lead_phone=+13105550123", "", 0},
		"bad_email_then_phone":   {"lead_phone", "mary at example", "(310) 555-0123", "lead_phone=+13105550123", "", 1},
		"no_phone_property":      {"", "", "(310) 555-0123", "", "no unique property for telephone numbers is configured", 0},
		"nothing_to_find_it_by":  {"lead_phone", "", "anonymous", "", "neither a usable e-mail address nor a usable telephone number", 0},
		"bad_email_and_no_phone": {"lead_phone", "mary at example", "", "", "neither", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newConnector(t, Settings{PhoneProperty: tc.phoneProperty})
			l := lead(func(l *crm.Lead) { l.Customer.Email, l.Customer.Phone = tc.email, tc.phone })
			p, err := c.prepare(&l)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) || vendorapi.KindOf(err) != vendorapi.Permanent {
					t.Fatalf("prepare = %v, want a permanent error with %q", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := p.input.IDProperty + "=" + p.input.ID; got != tc.want || p.input.Properties[p.input.IDProperty] != p.input.ID {
				t.Errorf("identity = %s with %v, want %s", got, p.input.Properties, tc.want)
			}
			if _, ok := p.input.Properties["email"]; ok != (p.input.IDProperty == "email") {
				t.Errorf("properties = %v for e-mail %q", p.input.Properties, tc.email)
			}
			if len(p.notes) != tc.notes {
				t.Errorf("notes = %v, want %d", p.notes, tc.notes)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer vendortest.Answer
		want   vendorapi.Error
	}{
		"ten_secondly": {
			vendortest.Answer{Status: 429, Body: `{"status":"error","message":"You have reached your ten_secondly_rolling limit.","errorType":"RATE_LIMIT","correlationId":"c","policyName":"TEN_SECONDLY_ROLLING","requestId":"r"}`},
			vendorapi.Error{Kind: vendorapi.Retryable, Status: 429, RetryAfter: 10 * time.Second, Reason: "RATE_LIMIT: You have reached your ten_secondly_rolling limit. (policy TEN_SECONDLY_ROLLING)"},
		},
		"daily": {
			vendortest.Answer{Status: 429, Body: `{"status":"error","message":"You have reached your daily limit.","errorType":"RATE_LIMIT","correlationId":"c","policyName":"DAILY","requestId":"r"}`},
			vendorapi.Error{Kind: vendorapi.Retryable, Status: 429, RetryAfter: time.Hour, Reason: "RATE_LIMIT: You have reached your daily limit. (policy DAILY)"},
		},
		"retry_after_wins": {
			vendortest.Answer{Status: 429, Header: map[string]string{"Retry-After": "7"}, Body: `{"message":"Slow down","policyName":"DAILY"}`},
			vendorapi.Error{Kind: vendorapi.Retryable, Status: 429, RetryAfter: 7 * time.Second, Reason: "Slow down (policy DAILY)"},
		},
		"limit_without_body": {
			vendortest.Answer{Status: 429},
			vendorapi.Error{Kind: vendorapi.Retryable, Status: 429, RetryAfter: 10 * time.Second, Reason: "(policy not named)"},
		},
		"token": {
			vendortest.Answer{Status: 401, Body: `{"status":"error","message":"Authentication credentials not found.","correlationId":"c","category":"INVALID_AUTHENTICATION"}`},
			vendorapi.Error{Kind: vendorapi.Credentials, Status: 401, Reason: "INVALID_AUTHENTICATION: Authentication credentials not found."},
		},
		"scopes": {
			vendortest.Answer{Status: 403, Body: `{"status":"error","message":"This app hasn't been granted all required scopes.","category":"MISSING_SCOPES","errors":[{"message":"One or more of the following scopes are required.","context":{"requiredGranularScopes":["crm.objects.contacts.write"]}}]}`},
			vendorapi.Error{Kind: vendorapi.Credentials, Status: 403, Reason: "MISSING_SCOPES: This app hasn't been granted all required scopes.; One or more of the following scopes are required."},
		},
		"validation": {
			vendortest.Answer{Status: 400, Body: `{"status":"error","message":"Property values were not valid","correlationId":"c","category":"VALIDATION_ERROR"}`},
			vendorapi.Error{Kind: vendorapi.Permanent, Status: 400, Reason: "VALIDATION_ERROR: Property values were not valid"},
		},
		"conflict": {
			vendortest.Answer{Status: 409, Body: `{"status":"error","message":"Contact already exists.","category":"CONFLICT"}`},
			vendorapi.Error{Kind: vendorapi.Conflict, Status: 409, Reason: "CONFLICT: Contact already exists."},
		},
		"cloudflare": {
			vendortest.Answer{Status: 502, Body: "<html>bad\n gateway</html>"},
			vendorapi.Error{Kind: vendorapi.Retryable, Status: 502, Reason: "<html>bad gateway</html>"},
		},
		"207_validation": {
			vendortest.Answer{Status: 207, Body: `{"status":"COMPLETE","results":[],"numErrors":1,"errors":[{"status":"error","category":"VALIDATION_ERROR","message":"Email address is invalid","context":{"objectWriteTraceId":["` + requestID + `"]}}]}`},
			vendorapi.Error{Kind: vendorapi.Permanent, Status: 207, Reason: "VALIDATION_ERROR: Email address is invalid"},
		},
		"207_without_context": {
			vendortest.Answer{Status: 207, Body: `{"status":"COMPLETE","results":[],"numErrors":1,"errors":[{"status":"error","category":"CONFLICT","message":"taken"}]}`},
			vendorapi.Error{Kind: vendorapi.Conflict, Status: 207, Reason: "CONFLICT: taken"},
		},
		"207_scopes": {
			vendortest.Answer{Status: 207, Body: `{"errors":[{"category":"MISSING_SCOPES","message":"no"}]}`},
			vendorapi.Error{Kind: vendorapi.Credentials, Status: 207, Reason: "MISSING_SCOPES: no"},
		},
		"207_limit": {
			vendortest.Answer{Status: 207, Body: `{"errors":[{"category":"RATE_LIMITS","message":"no"}]}`},
			vendorapi.Error{Kind: vendorapi.Retryable, Status: 207, Reason: "RATE_LIMITS: no"},
		},
		"says_nothing_of_the_lead": {
			vendortest.Answer{Body: `{"status":"COMPLETE","results":[]}`},
			vendorapi.Error{Kind: vendorapi.Retryable},
		},
		"no_json": {
			vendortest.Answer{Body: `<html>`},
			vendorapi.Error{Kind: vendorapi.Retryable, Status: 200},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := vendortest.New(t, tc.answer)
			_, err := newConnector(t, Settings{BaseURL: srv.URL}).Upsert(t.Context(), lead())
			got, ok := errors.AsType[*vendorapi.Error](err)
			if !ok {
				t.Fatalf("Upsert = %v, want a vendorapi.Error", err)
			}
			tc.want.Vendor, tc.want.Op = "hubspot", "upsert contacts"
			if diff := cmp.Diff(tc.want, *got, cmpopts.IgnoreFields(vendorapi.Error{}, "Err")); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

// leads returns n leads of different customers, with request ids r0, r1, ...
func leads(n int) []crm.Lead {
	out := make([]crm.Lead, n)
	for i := range out {
		out[i] = lead(func(l *crm.Lead) {
			l.RequestID = fmt.Sprintf("r%d", i)
			l.Customer.Email = fmt.Sprintf("c%d@example.com", i)
		})
	}
	return out
}

func ids(t *testing.T, r vendortest.Request) string {
	t.Helper()
	var in inputs
	if err := json.Unmarshal([]byte(r.Body), &in); err != nil {
		t.Fatal(err)
	}
	out := make([]string, len(in.Inputs))
	for i, x := range in.Inputs {
		out[i] = x.TraceID
	}
	return strings.Join(out, " ")
}

func TestBatchOutcomesFindTheirLeads(t *testing.T) {
	t.Parallel()
	srv := vendortest.New(t,
		// Out of order; r1 by its e-mail address, r2 refused by name, r3 by id, r4 not mentioned.
		vendortest.Answer{Status: 207, Body: `{"status":"COMPLETE","numErrors":2,
			"results":[{"id":"11","new":false,"properties":{"email":"C1@example.com"}},{"id":"10","new":true,"properties":{},"objectWriteTraceId":"r0"}],
			"errors":[{"category":"VALIDATION_ERROR","message":"bad","context":{"objectWriteTraceId":["r2"]}},{"category":"VALIDATION_ERROR","message":"worse","context":{"ids":["c3@example.com"],"other":"text"}}]}`},
		vendortest.Answer{Body: `{"results":[{"id":"14","new":true,"objectWriteTraceId":"r4"}]}`},
	)
	got := newConnector(t, Settings{BaseURL: srv.URL}).UpsertBatch(t.Context(), leads(5))
	for i, want := range []string{"10 true", "11 false", "VALIDATION_ERROR: bad", "VALIDATION_ERROR: worse", "14 true"} {
		s := fmt.Sprintf("%s %t %v", got[i].Result.RecordID, got[i].Result.Created, got[i].Err)
		if !strings.Contains(s, want) {
			t.Errorf("outcome %d = %s, want %s", i, s, want)
		}
	}
	if a := ids(t, srv.Requests()[1]); a != "r4" {
		t.Errorf("second call is for %s, want r4", a)
	}
}

func TestBatchRefusedForOneInputIsSentSingly(t *testing.T) {
	t.Parallel()
	bad := vendortest.Answer{Status: 400, Body: `{"status":"error","category":"VALIDATION_ERROR","message":"bad"}`}
	srv := vendortest.New(t, bad,
		vendortest.Answer{Body: `{"results":[{"id":"10","objectWriteTraceId":"r0"}]}`},
		bad,
	)
	got := newConnector(t, Settings{BaseURL: srv.URL}).UpsertBatch(t.Context(), leads(2))
	if got[0].Err != nil || got[0].Result.RecordID != "10" || vendorapi.KindOf(got[1].Err) != vendorapi.Permanent || got[1].Err == nil {
		t.Errorf("outcomes = %+v", got)
	}
}

func TestBatchRateLimitedIsNotSentSingly(t *testing.T) {
	t.Parallel()
	srv := vendortest.New(t, vendortest.Answer{Status: 429, Body: `{"policyName":"TEN_SECONDLY_ROLLING"}`})
	for i, o := range newConnector(t, Settings{BaseURL: srv.URL}).UpsertBatch(t.Context(), leads(3)) {
		if vendorapi.RetryAfter(o.Err) != 10*time.Second {
			t.Errorf("outcome %d = %v, want to be retried after 10s", i, o.Err)
		}
	}
}

func TestBatchesAreCutAndOrdered(t *testing.T) {
	t.Parallel()
	many := leads(102)
	many[1].Customer.Email = many[0].Customer.Email // the same customer twice
	many[2].Customer.Email = ""                     // by telephone
	many[3].Customer.Email, many[3].Customer.Phone = "", ""
	c := newConnector(t, Settings{PhoneProperty: "lead_phone"})
	var pending []*push
	for i := range many {
		if p, err := c.prepare(&many[i]); err == nil {
			pending = append(pending, p)
		}
	}
	var sizes []int
	var order []string
	for len(pending) > 0 {
		var batch []*push
		batch, pending = nextBatch(pending)
		sizes = append(sizes, len(batch))
		order = append(order, batch[0].lead.RequestID)
	}
	if diff := cmp.Diff([]int{99, 1, 1}, sizes); diff != "" {
		t.Errorf("sizes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"r0", "r1", "r2"}, order); diff != "" {
		t.Errorf("first of each batch (-want +got):\n%s", diff)
	}
	if n, _ := nextBatch(prepared(t, c, leads(150))); len(n) != 100 {
		t.Errorf("a batch has %d leads, want 100", len(n))
	}
}

func prepared(t *testing.T, c *Connector, leads []crm.Lead) []*push {
	t.Helper()
	var out []*push
	for i := range leads {
		p, err := c.prepare(&leads[i])
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

func TestNoteFailuresAreTheLeads(t *testing.T) {
	t.Parallel()
	contacts := vendortest.Answer{Body: `{"results":[{"id":"10","objectWriteTraceId":"r0"},{"id":"11","objectWriteTraceId":"r1"},{"id":"12","objectWriteTraceId":"r2"}]}`}
	linked := vendortest.Answer{Body: `{"status":"COMPLETE","results":[]}`}
	for name, tc := range map[string]struct {
		answers []vendortest.Answer
		want    [3]string // part of the error; "" = none
	}{
		"one_refused": {
			[]vendortest.Answer{contacts,
				{Status: 207, Body: `{"results":[{"id":"90","objectWriteTraceId":"r0"},{"id":"92","objectWriteTraceId":"r2"}],"errors":[{"category":"VALIDATION_ERROR","message":"bad","context":{"objectWriteTraceId":["r1"]}}]}`},
				linked},
			[3]string{"", "write notes: HTTP 207: VALIDATION_ERROR: bad", ""},
		},
		"refused_whole_for_one": {
			[]vendortest.Answer{contacts,
				{Status: 400, Body: `{"message":"bad"}`},
				{Body: `{"results":[{"id":"90","objectWriteTraceId":"r0"}]}`}, linked,
				{Status: 400, Body: `{"message":"bad"}`},
				{Body: `{"results":[]}`}},
			[3]string{"", "write notes: HTTP 400: bad", "does not mention"},
		},
		"limited": {
			[]vendortest.Answer{contacts, {Status: 429, Body: `{}`}},
			[3]string{"HTTP 429", "HTTP 429", "HTTP 429"},
		},
		"link_refused": {
			[]vendortest.Answer{contacts,
				{Body: `{"results":[{"id":"90","objectWriteTraceId":"r0"},{"id":"91","objectWriteTraceId":"r1"},{"id":"92","objectWriteTraceId":"r2"}]}`},
				{Status: 207, Body: `{"errors":[{"category":"VALIDATION_ERROR","message":"no such note"}]}`}},
			[3]string{"attach notes", "attach notes", "no such note"},
		},
		"link_unreadable": {
			[]vendortest.Answer{contacts,
				{Body: `{"results":[{"id":"90","objectWriteTraceId":"r0"},{"id":"91","objectWriteTraceId":"r1"},{"id":"92","objectWriteTraceId":"r2"}]}`},
				{Body: `?`}},
			[3]string{"decoding", "decoding", "decoding"},
		},
		"link_limited": {
			[]vendortest.Answer{contacts,
				{Body: `{"results":[{"id":"90","objectWriteTraceId":"r0"},{"id":"91","objectWriteTraceId":"r1"},{"id":"92","objectWriteTraceId":"r2"}]}`},
				{Status: 429}},
			[3]string{"HTTP 429", "HTTP 429", "HTTP 429"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := vendortest.New(t, tc.answers...)
			for i, o := range newConnector(t, Settings{BaseURL: srv.URL, NoteProperty: "lead_request_id"}).UpsertBatch(t.Context(), leads(3)) {
				if (o.Err == nil) != (tc.want[i] == "") || o.Err != nil && !strings.Contains(o.Err.Error(), tc.want[i]) {
					t.Errorf("outcome %d = %v, want %q", i, o.Err, tc.want[i])
				}
			}
		})
	}
}

func TestNoteIsBounded(t *testing.T) {
	t.Parallel()
	l := lead(func(l *crm.Lead) { l.Analysis["transcript"] = strings.Repeat("x", maxNote) })
	body, err := renderNote(&l)
	if err != nil || strings.Contains(body, "xxx") || !strings.Contains(body, "Wants a new kitchen") {
		t.Errorf("renderNote = %.200s, %v, want a note without the analysis", body, err)
	}
	l.Summary = strings.Repeat("x", maxNote)
	if _, err := renderNote(&l); err == nil {
		t.Error("renderNote makes a note that HubSpot refuses")
	}
	srv := vendortest.New(t, vendortest.Answer{Body: `{"results":[{"id":"10","objectWriteTraceId":"` + requestID + `"}]}`})
	if _, err := newConnector(t, Settings{BaseURL: srv.URL, NoteProperty: "lead_request_id"}).Upsert(t.Context(), l); vendorapi.KindOf(err) != vendorapi.Permanent {
		t.Errorf("Upsert = %v, want a permanent error", err)
	}
}

func TestPreviewIsWhatUpsertSends(t *testing.T) {
	t.Parallel()
	srv := vendortest.New(t,
		vendortest.Answer{Body: `{"results":[{"id":"<contact id>","objectWriteTraceId":"` + requestID + `"}]}`},
		vendortest.Answer{Body: `{"results":[{"id":"<note id>","objectWriteTraceId":"` + requestID + `"}]}`},
		vendortest.Answer{Body: `{"status":"COMPLETE"}`},
	)
	c := newConnector(t, Settings{BaseURL: srv.URL, NoteProperty: "lead_request_id"})
	calls, err := c.Preview(lead())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upsert(t.Context(), lead()); err != nil {
		t.Fatal(err)
	}
	for i, r := range srv.Requests() {
		if want := (crm.Call{Op: calls[i].Op, Method: r.Method, URL: srv.URL + r.Path, Body: []byte(r.Body)}); !cmp.Equal(want, calls[i]) {
			t.Errorf("call %d (-sent +previewed):\n%s", i, cmp.Diff(want, calls[i]))
		}
	}
	if _, err := c.Preview(crm.Lead{}); vendorapi.KindOf(err) != vendorapi.Permanent || err == nil {
		t.Errorf("Preview of nobody = %v, want a permanent error", err)
	}
}

func TestNewReportsAllMistakes(t *testing.T) {
	t.Parallel()
	_, err := New(Settings{PhoneProperty: "Lead Phone", NoteProperty: "x y", BaseURL: "http://api.example.com"}, nil, nil)
	if err == nil {
		t.Fatal("New accepts nonsense")
	}
	for _, want := range []string{"token: is missing", "phone_property: is no name", "note_property: is no name", "base_url: must be https"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not mention %q", err, want)
		}
	}
}
