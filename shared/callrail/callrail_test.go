package callrail

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func read(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func TestVerify(t *testing.T) {
	t.Parallel()
	body, key := read(t, "postcall.json"), []byte("an-example-signing-key")
	// Computed with: openssl dgst -sha1 -hmac an-example-signing-key -binary postcall.json | base64
	good := strings.TrimSpace(string(read(t, "postcall.signature")))
	changed := append([]byte(nil), body...)
	changed[len(changed)/2] ^= 1
	tests := map[string]struct {
		signature string
		body      []byte
		keys      [][]byte
		want      bool
	}{
		"good":          {good, body, [][]byte{key}, true},
		"padded":        {" " + good + "\n", body, [][]byte{key}, true},
		"second_key":    {good, body, [][]byte{[]byte("old"), key}, true},
		"changed_body":  {good, changed, [][]byte{key}, false},
		"newline_added": {good, append(append([]byte(nil), body...), '\n'), [][]byte{key}, false},
		"wrong_key":     {good, body, [][]byte{[]byte("other")}, false},
		"no_key":        {good, body, nil, false},
		"empty_key":     {Sign(nil, body), body, [][]byte{{}}, false},
		"missing":       {"", body, [][]byte{key}, false},
		"not_base64":    {"%%%", body, [][]byte{key}, false},
		"truncated":     {good[:len(good)-4], body, [][]byte{key}, false},
		"hex":           {"da39a3ee5e6b4b0d3255bfef95601890afd80709", body, [][]byte{key}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Verify([]string{"other", tt.signature}, tt.body, tt.keys...); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

// A body is read once for each key, however many signatures come with it:
// strangers choose their number.
func TestVerifyReadsTheBodyOnce(t *testing.T) {
	const many = 1000
	signatures := slices.Repeat([]string{""}, many) // of which none has to be decoded
	if allocations := testing.AllocsPerRun(5, func() { Verify(signatures, nil, []byte("key")) }); allocations > many {
		t.Errorf("%.0f allocations for %d signatures", allocations, many)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 10, 20, 30, 0, time.FixedZone("", -5*3600))
	tests := map[string]struct {
		kind    Kind
		body    string
		want    *Event
		wantErr string
	}{
		"callrail": {body: string(read(t, "postcall.json")), want: &Event{Kind: PostCall, CallID: "700100200", CompanyID: "900100", Timestamp: at}},
		"callrail_with_resource_ids": {
			body: `{"id":7,"resource_id":"CAL7","company_id":"9","company_resource_id":"COM9","duration":61,"answered":true}`,
			want: &Event{Kind: PostCall, CallID: "CAL7", CompanyID: "9", CompanyResourceID: "COM9"},
		},
		"platform": {
			body: `{"call_id":"CAL5","caller_id":"+15550100300","duration":"180","recording_url":"https://r.example/5","tenant_id":"acme","callrail_company_id":"12345"}`,
			want: &Event{Kind: PostCall, TenantID: "acme", CallID: "CAL5", CompanyID: "12345"},
		},
		"both_formats": {
			body: `{"tenant_id":"acme","call_id":"CAL5","callrail_company_id":12345,"id":1,"company_id":2,"recording":"x"}`,
			want: &Event{Kind: PostCall, TenantID: "acme", CallID: "CAL5", CompanyID: "12345"},
		},
		"ringing":           {body: `{"id":1,"company_id":2,"duration":null,"answered":null}`, want: &Event{Kind: PreCall, CallID: "1", CompanyID: "2"}},
		"routed":            {kind: RoutingComplete, body: `{"id":1,"company_id":2}`, want: &Event{Kind: RoutingComplete, CallID: "1", CompanyID: "2"}},
		"modified":          {body: `{"id":1,"company_id":2,"duration":"3","changes":["note"]}`, want: &Event{Kind: CallModified, CallID: "1", CompanyID: "2"}},
		"outbound":          {body: `{"id":1,"company_id":2,"duration":"3","call_type":"outbound"}`, want: &Event{Kind: OutboundPostCall, CallID: "1", CompanyID: "2"}},
		"outbound_modified": {body: `{"id":1,"company_id":2,"direction":"outbound","changes":[]}`, want: &Event{Kind: OutboundModified, CallID: "1", CompanyID: "2"}},
		"text_received": {
			body: `{"id":5,"resource_id":"MSG5","source_number":"+15550100300","destination_number":"+15550100400","content":"hi","conversation_id":"c7","company_resource_id":"COM9","timestamp":"2026-03-04T10:20:30-05:00"}`,
			want: &Event{Kind: TextReceived, ConversationID: "c7", CompanyResourceID: "COM9", Timestamp: at},
		},
		"text_sent": {
			body: `{"resource_id":"MSG6","agent":"Kim","source_number":"+15550100400","destination_number":"+15550100300","content":"hello","company_resource_id":"COM9"}`,
			want: &Event{Kind: TextSent, ConversationID: "MSG6", CompanyResourceID: "COM9"},
		},
		"unusable_fields": {body: `{"id":1,"company_id":2,"duration":"-1e99","timestamp":"yesterday","customer_name":{"a":1},"recording":[]}`, want: &Event{Kind: PostCall, CallID: "1", CompanyID: "2"}},
		"case_matters":    {body: `{"id":1,"company_id":2,"Tenant_ID":"acme"}`, want: &Event{Kind: PreCall, CallID: "1", CompanyID: "2"}},
		"no_ids":          {body: `{}`, wantErr: "id is missing\ncompany_id is missing"},
		"platform_no_ids": {body: `{"tenant_id":"acme"}`, wantErr: "call_id is missing\ncallrail_company_id is missing"},
		"form": {
			body: `{"id":31,"resource_id":"FRM31","company_id":9,"form_data":{"your-name":"Kim"},"submitted_at":"2026-03-04T10:20:30-05:00"}`,
			want: &Event{Kind: FormSubmission, FormID: "FRM31", CompanyID: "9", Timestamp: at},
		},
		"form_without_data":    {kind: FormSubmission, body: `{"id":31,"company_id":9,"form_data":null}`, want: &Event{Kind: FormSubmission, FormID: "31", CompanyID: "9"}},
		"form_no_ids":          {kind: FormSubmission, body: `{"form_data":{}}`, wantErr: "id is missing\ncompany_id is missing"},
		"text_no_ids":          {kind: TextReceived, body: `{"source_number":null,"destination_number":""}`, wantErr: "conversation_id is missing\ncompany_id is missing"},
		"call_said_to_be_text": {kind: TextReceived, body: `{"id":1,"company_id":2,"duration":"3"}`, want: &Event{Kind: PostCall, CallID: "1", CompanyID: "2"}},
		"text_said_to_be_call": {kind: PostCall, body: `{"id":1,"company_id":2,"source_number":"1","destination_number":"2"}`, want: &Event{Kind: TextReceived, ConversationID: "1", CompanyID: "2"}},
		"form_said_to_be_call": {kind: PreCall, body: `{"id":1,"company_id":2,"form_data":{}}`, want: &Event{Kind: FormSubmission, FormID: "1", CompanyID: "2"}},
		"call_said_to_be_form": {kind: FormSubmission, body: `{"id":1,"company_id":2}`, want: &Event{Kind: PreCall, CallID: "1", CompanyID: "2"}},
		"hostile_id":           {body: `{"id":"../../etc","company_id":2}`, wantErr: "id is not an id"},
		"long_id":              {body: `{"id":"` + strings.Repeat("1", 51) + `","company_id":2}`, wantErr: "id is not an id"},
		"fractional_id":        {body: `{"id":1.5,"company_id":2}`, wantErr: "id is not an id"},
		"truncated":            {body: `{"id":1,"company`, wantErr: "the body is not a JSON object"},
		"two_values":           {body: `{"id":1,"company_id":2}{}`, wantErr: "the body is not a JSON object"},
		"array":                {body: `[]`, wantErr: "the body is not a JSON object"},
		"null":                 {body: `null`, wantErr: "the body is not a JSON object"},
		"empty":                {body: ``, wantErr: "the body is not a JSON object"},
		"deep":                 {body: `{"id":1,"company_id":2,"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, wantErr: "the body is nested too deeply"},
		"brackets_in_string":   {body: `{"id":1,"company_id":2,"x":"` + strings.Repeat(`[\"{`, 40) + `"}`, want: &Event{Kind: PreCall, CallID: "1", CompanyID: "2"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse(tt.kind, []byte(tt.body))
			if tt.wantErr != "" {
				if err == nil || err.Error() != tt.wantErr {
					t.Fatalf("error %v, want %s", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Body = []byte(tt.body)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// Whatever arrives, parsing ends with an error or with ids that are safe in
// paths and columns, and what was parsed can be folded.
func FuzzParse(f *testing.F) {
	f.Add("", read(f, "postcall.json"))
	f.Add("", []byte(`{"tenant_id":"acme","call_id":"CAL5","callrail_company_id":"12345","duration":"180"}`))
	f.Add("", []byte(`{"id":1e3,"company_id":null,"company_resource_id":"COM"}`))
	f.Add("text-received", []byte(`{"id":5,"source_number":"+1","destination_number":"+2","company_id":3,"media_urls":["https://m"]}`))
	f.Add("form-submission", []byte(`{"id":5,"company_id":3,"form_data":{"a":["b"]},"submitted_at":"2026-03-04T10:20:30-05:00"}`))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		e, err := Parse(Kind(kind), body)
		if err != nil {
			if e != nil {
				t.Error("an event beside an error")
			}
			return
		}
		id := e.CallID + e.ConversationID + e.FormID
		if !identifier.MatchString(id) || e.CompanyID == "" && e.CompanyResourceID == "" ||
			e.CompanyID != "" && !identifier.MatchString(e.CompanyID) {
			t.Errorf("%+v", e)
		}
		if e.Kind.IsText() {
			if c, err := FoldTexts([]Event{*e, *e}); err != nil || len(c.Messages) != 1 {
				t.Errorf("%+v, %v", c, err)
			}
			return
		}
		if e.Kind == FormSubmission {
			if f, err := FoldForm([]Event{*e, *e}); err != nil || !SameForm(f.Payload, body) {
				t.Errorf("%+v, %v", f, err)
			}
			return
		}
		c, err := FoldCall([]Event{*e, *e})
		if err != nil || c.Duration < 0 || c.Duration > 24*time.Hour || !SameCall(c.Payload, body) {
			t.Errorf("%+v, %v", c, err)
		}
	})
}

func FuzzVerify(f *testing.F) {
	f.Add("UZ==", []byte("{}"), []byte("key"))
	f.Fuzz(func(t *testing.T, signature string, body, key []byte) {
		if Verify([]string{signature}, body, key) && strings.TrimSpace(signature) != Sign(key, body) &&
			strings.NewReplacer("\r", "", "\n", "").Replace(strings.TrimSpace(signature)) != Sign(key, body) {
			t.Errorf("%q verified", signature)
		}
		if len(key) > 0 && !Verify([]string{Sign(key, body)}, body, key) {
			t.Error("our own signature does not verify")
		}
	})
}
