package callrail

import (
	"os"
	"path/filepath"
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
			if got := Verify(tt.signature, tt.body, tt.keys...); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

func TestParsePostCall(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 10, 20, 30, 0, time.FixedZone("", -5*3600))
	tests := map[string]struct {
		body    string
		want    *CallEvent
		wantErr string
	}{
		"callrail": {body: string(read(t, "postcall.json")), want: &CallEvent{
			CallID: "700100200", CompanyID: "900100", CustomerName: "Robin Example", CustomerPhone: "+15550100200",
			RecordingURL: "https://recordings.example/calls/700100200", Duration: 13 * time.Second, Timestamp: at,
		}},
		"callrail_with_resource_ids": {
			body: `{"id":7,"resource_id":"CAL7","company_id":"9","company_resource_id":"COM9","duration":61,"answered":true}`,
			want: &CallEvent{CallID: "CAL7", CompanyID: "9", CompanyResourceID: "COM9", Duration: 61 * time.Second},
		},
		"platform": {
			body: `{"call_id":"CAL5","caller_id":"+15550100300","duration":"180","recording_url":"https://r.example/5","tenant_id":"acme","callrail_company_id":"12345"}`,
			want: &CallEvent{
				TenantID: "acme", CallID: "CAL5", CompanyID: "12345", CustomerPhone: "+15550100300",
				RecordingURL: "https://r.example/5", Duration: 180 * time.Second,
			},
		},
		"both_formats": {
			body: `{"tenant_id":"acme","call_id":"CAL5","callrail_company_id":12345,"id":1,"company_id":2,"recording":"x"}`,
			want: &CallEvent{TenantID: "acme", CallID: "CAL5", CompanyID: "12345"},
		},
		"unanswered":         {body: `{"id":1,"company_id":2,"answered":false,"voicemail":"false","recording":null,"duration":"9"}`, want: &CallEvent{CallID: "1", CompanyID: "2", Unanswered: true, Duration: 9 * time.Second}},
		"voicemail":          {body: `{"id":1,"company_id":2,"answered":false,"voicemail":true}`, want: &CallEvent{CallID: "1", CompanyID: "2"}},
		"unusable_fields":    {body: `{"id":1,"company_id":2,"duration":"-1e99","timestamp":"yesterday","customer_name":{"a":1},"recording":[]}`, want: &CallEvent{CallID: "1", CompanyID: "2"}},
		"case_matters":       {body: `{"id":1,"company_id":2,"Tenant_ID":"acme"}`, want: &CallEvent{CallID: "1", CompanyID: "2"}},
		"no_ids":             {body: `{}`, wantErr: "id is missing\ncompany_id is missing"},
		"platform_no_ids":    {body: `{"tenant_id":"acme"}`, wantErr: "call_id is missing\ncallrail_company_id is missing"},
		"hostile_id":         {body: `{"id":"../../etc","company_id":2}`, wantErr: "id is not an id"},
		"long_id":            {body: `{"id":"` + strings.Repeat("1", 51) + `","company_id":2}`, wantErr: "id is not an id"},
		"fractional_id":      {body: `{"id":1.5,"company_id":2}`, wantErr: "id is not an id"},
		"truncated":          {body: `{"id":1,"company`, wantErr: "the body is not a JSON object"},
		"two_values":         {body: `{"id":1,"company_id":2}{}`, wantErr: "the body is not a JSON object"},
		"array":              {body: `[]`, wantErr: "the body is not a JSON object"},
		"null":               {body: `null`, wantErr: "the body is not a JSON object"},
		"empty":              {body: ``, wantErr: "the body is not a JSON object"},
		"deep":               {body: `{"id":1,"company_id":2,"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, wantErr: "the body is nested too deeply"},
		"brackets_in_string": {body: `{"id":1,"company_id":2,"x":"` + strings.Repeat(`[\"{`, 40) + `"}`, want: &CallEvent{CallID: "1", CompanyID: "2"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParsePostCall([]byte(tt.body))
			if tt.wantErr != "" {
				if err == nil || err.Error() != tt.wantErr {
					t.Fatalf("error %v, want %s", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestHasRecording(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		event CallEvent
		want  bool
	}{
		"named":             {CallEvent{RecordingURL: "x", Unanswered: true}, true},
		"spoken":            {CallEvent{Duration: time.Second}, true},
		"unanswered":        {CallEvent{Duration: time.Second, Unanswered: true}, false},
		"without_duration":  {CallEvent{}, false},
		"nothing_and_known": {CallEvent{Unanswered: true}, false},
	}
	for name, tt := range tests {
		if got := tt.event.HasRecording(); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// Whatever arrives, parsing ends with an error or with ids that are safe in
// paths and columns.
func FuzzParsePostCall(f *testing.F) {
	f.Add(read(f, "postcall.json"))
	f.Add([]byte(`{"tenant_id":"acme","call_id":"CAL5","callrail_company_id":"12345","duration":"180"}`))
	f.Add([]byte(`{"id":1e3,"company_id":null,"company_resource_id":"COM"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := ParsePostCall(body)
		if err != nil {
			if e != nil {
				t.Error("an event beside an error")
			}
			return
		}
		if !identifier.MatchString(e.CallID) || e.CompanyID == "" && e.CompanyResourceID == "" ||
			e.CompanyID != "" && !identifier.MatchString(e.CompanyID) || e.Duration < 0 || e.Duration > 24*time.Hour {
			t.Errorf("%+v", e)
		}
	})
}

func FuzzVerify(f *testing.F) {
	f.Add("UZ==", []byte("{}"), []byte("key"))
	f.Fuzz(func(t *testing.T, signature string, body, key []byte) {
		if Verify(signature, body, key) && strings.TrimSpace(signature) != Sign(key, body) &&
			strings.NewReplacer("\r", "", "\n", "").Replace(strings.TrimSpace(signature)) != Sign(key, body) {
			t.Errorf("%q verified", signature)
		}
		if len(key) > 0 && !Verify(Sign(key, body), body, key) {
			t.Error("our own signature does not verify")
		}
	})
}
