package callrail

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func events(tb testing.TB, bodies ...string) []Event {
	tb.Helper()
	var all []Event
	for _, body := range bodies {
		e, err := Parse("", []byte(body))
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, *e)
	}
	return all
}

func fold(tb testing.TB, all []Event) *Call {
	tb.Helper()
	c, err := FoldCall(all)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestFoldCall(t *testing.T) {
	t.Parallel()
	at := `"timestamp":"2026-03-04T10:20:30-05:00"`
	tests := map[string]struct {
		bodies  []string
		want    Call
		hasRec  bool
		payload map[string]any // some of its fields
	}{
		"sample": {[]string{string(read(t, "postcall.json"))}, Call{
			CustomerName: "Robin Example", CustomerPhone: "+15550100200", RecordingURL: "https://recordings.example/calls/700100200",
			Duration: 13 * time.Second, Ended: true,
		}, true, nil},
		"platform": {
			[]string{`{"call_id":"C","caller_id":"+15550100300","duration":"180","recording_url":"https://r/5","tenant_id":"acme","callrail_company_id":"1"}`},
			Call{CustomerPhone: "+15550100300", RecordingURL: "https://r/5", Duration: 3 * time.Minute, Ended: true}, true, nil,
		},
		"ringing":    {[]string{`{"id":1,"company_id":2,"customer_phone_number":"+1"}`}, Call{CustomerPhone: "+1"}, false, nil},
		"unanswered": {[]string{`{"id":1,"company_id":2,"answered":false,"voicemail":"false","recording":null,"duration":"9"}`}, Call{Duration: 9 * time.Second, Unanswered: true, Ended: true}, false, nil},
		"voicemail":  {[]string{`{"id":1,"company_id":2,"answered":"false","voicemail":true,"duration":9}`}, Call{Duration: 9 * time.Second, Ended: true}, true, nil},
		"spoken":     {[]string{`{"id":1,"company_id":2,"duration":1}`}, Call{Duration: time.Second, Ended: true}, true, nil},
		"outbound":   {[]string{`{"id":1,"company_id":2,"direction":"outbound","duration":1}`}, Call{Duration: time.Second, Ended: true, Outbound: true}, true, nil},
		"late_recording_and_note": {
			[]string{
				`{"id":1,"company_id":2,"duration":"60","recording":null,"note":"","customer_name":"Ann",` + at + `}`,
				`{"id":1,"company_id":2,"duration":"60","recording":"https://r/1","note":"call back","changes":["note"],` + at + `}`,
			},
			Call{CustomerName: "Ann", RecordingURL: "https://r/1", Duration: time.Minute, Ended: true}, true,
			map[string]any{"note": "call back", "customer_name": "Ann"},
		},
		"what_is_known_stays": {
			[]string{
				`{"id":1,"company_id":2,"duration":"60","note":"old"}`,
				`{"id":1,"company_id":2,"note":"","tags":[],"changes":["value"]}`,
			},
			Call{Duration: time.Minute, Ended: true}, true, map[string]any{"note": "old"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := fold(t, events(t, tt.bodies...))
			if diff := cmp.Diff(tt.want, *got, cmpopts.IgnoreFields(Call{}, "Payload")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if got.HasRecording() != tt.hasRec {
				t.Errorf("has a recording: %v, want %v", got.HasRecording(), tt.hasRec)
			}
			var payload map[string]any
			if err := json.Unmarshal(got.Payload, &payload); err != nil {
				t.Fatal(err)
			}
			for field, want := range tt.payload {
				if diff := cmp.Diff(want, payload[field]); diff != "" {
					t.Errorf("%s (-want +got)\n%s", field, diff)
				}
			}
		})
	}
	if _, err := FoldCall([]Event{{Kind: PostCall, Body: []byte("[]")}}); err == nil {
		t.Error("folded what is no object")
	}
}

// The whole life of one call and of one conversation, as fuzz seeds and for the
// property below.
var (
	lifeOfACall = []string{
		`{"id":1,"company_id":2,"customer_phone_number":"+15550100300","timestamp":"2026-03-04T10:20:30-05:00"}`,
		`{"id":1,"company_id":2,"customer_phone_number":"+15550100300","customer_city":"Rochester","timestamp":"2026-03-04T10:20:30-05:00"}`,
		`{"id":1,"company_id":2,"duration":"60","answered":true,"recording":"https://r/1?access_key=a","value":1.50,"timestamp":"2026-03-04T10:20:30-05:00"}`,
		`{"id":1,"company_id":2,"duration":"60","recording":"https://r/1?access_key=b","note":"call back","changes":["note"],"timestamp":"2026-03-04T10:20:30-05:00"}`,
		`{"id":1,"company_id":2,"duration":"60","recording":"https://r/1?access_key=b","note":"call back","tags":["kitchen"],"changes":["tags"],"timestamp":"2026-03-04T10:20:30-05:00"}`,
	}
	lifeOfAConversation = []string{
		`{"resource_id":"M1","source_number":"+15550100300","destination_number":"+15550100400","content":"hi","conversation_id":"c7","company_id":2,"timestamp":"2026-03-04T10:20:30Z"}`,
		`{"resource_id":"M2","agent":"Kim","source_number":"+15550100400","destination_number":"+15550100300","content":"hello","conversation_id":"c7","company_id":2,"timestamp":"2026-03-04T10:21:30Z"}`,
		`{"resource_id":"M3","source_number":"+15550100300","destination_number":"+15550100400","content":"a new roof","media_urls":["https://m/1"],"conversation_id":"c7","company_id":2,"timestamp":"2026-03-04T10:22:30Z"}`,
		`{"resource_id":"M4","source_number":"+15550100300","destination_number":"+15550100400","content":"please","conversation_id":"c7","company_id":2}`,
	}
)

// shuffled returns the events in another order, some of them repeatedly.
func shuffled(random *rand.Rand, all []Event) []Event {
	mixed := append([]Event(nil), all...)
	for range random.IntN(4) {
		mixed = append(mixed, all[random.IntN(len(all))])
	}
	random.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	return mixed
}

func TestFoldsAreOrderIndependent(t *testing.T) {
	t.Parallel()
	calls, texts := events(t, lifeOfACall...), events(t, lifeOfAConversation...)
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 2))
		// Some events are lost; those that are left must do.
		kept := calls[random.IntN(len(calls)):]
		if diff := cmp.Diff(fold(t, kept), fold(t, shuffled(random, kept))); diff != "" {
			t.Fatalf("seed %d: call (-ordered +shuffled)\n%s", seed, diff)
		}
		messages := texts[random.IntN(len(texts)):]
		want, err := FoldTexts(messages)
		if err != nil {
			t.Fatal(err)
		}
		got, err := FoldTexts(shuffled(random, messages))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d: conversation (-ordered +shuffled)\n%s", seed, diff)
		}
	}
}

func TestFoldTexts(t *testing.T) {
	t.Parallel()
	got, err := FoldTexts(events(t, lifeOfAConversation[2], lifeOfAConversation[1], lifeOfAConversation[0], lifeOfAConversation[1]))
	if err != nil {
		t.Fatal(err)
	}
	at := func(minute int) time.Time { return time.Date(2026, 3, 4, 10, minute, 30, 0, time.UTC) }
	want := &Conversation{ID: "c7", CustomerPhone: "+15550100300", Messages: []Message{
		{ID: "M1", From: FromCustomer, At: at(20), Text: "hi"},
		{ID: "M2", From: FromBusiness, At: at(21), Text: "hello"},
		{ID: "M3", From: FromCustomer, At: at(22), Text: "a new roof", Media: []string{"https://m/1"}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	only, err := FoldTexts(events(t, lifeOfAConversation[1]))
	if err != nil || only.HasCustomer() || !got.HasCustomer() {
		t.Errorf("%+v, %v", only, err)
	}
}

func TestSameRecording(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"https://r/1?access_key=a", "https://r/1?access_key=b", true},
		{"https://r/1", "https://r/2", false},
		{"", "", true},
		{"", "https://r/1", false},
		{":", ":", true},
	} {
		if got := SameRecording(tt.a, tt.b); got != tt.want {
			t.Errorf("%q and %q: %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestSameCall(t *testing.T) {
	t.Parallel()
	base := `{"note":"x","tags":["a"],"recording":"https://r/1","duration":"60"}`
	for body, want := range map[string]bool{
		base: true,
		`{"note":"x","tags":[ "a" ],"recording":"https://r/2","duration":60,"formatted_duration":"1m"}`: true,
		`{"note":"y","tags":["a"],"duration":"60"}`:                                                     false,
		`{"note":"x","tags":["a","b"],"duration":"60"}`:                                                 false,
		`{"note":"x","tags":["a"]}`:                                                                     false,
		`{"note":"x","tags":["a"],"duration":"60","value":0}`:                                           false,
		`[]`: false,
	} {
		if got := SameCall(json.RawMessage(base), json.RawMessage(body)); got != want {
			t.Errorf("%s: %v, want %v", body, got, want)
		}
	}
}

// A form's events make the same form in any order and number.
func TestFoldFormIsOrderIndependent(t *testing.T) {
	t.Parallel()
	at := func(minute int) string { return time.Date(2026, 3, 4, 10, minute, 0, 0, time.UTC).Format(time.RFC3339) }
	all := events(t,
		`{"id":1,"company_id":2,"form_data":{"name":"Kim"},"submitted_at":"`+at(1)+`","score":1}`,
		`{"id":1,"company_id":2,"form_data":{"name":"Kim Lee","zip":55901},"submitted_at":"`+at(2)+`"}`,
		`{"id":1,"company_id":2,"form_data":null,"submitted_at":"`+at(3)+`","form_url":"https://a.example"}`,
		`{"id":1,"company_id":2,"form_data":{"name":"Lee","zip":55901},"submitted_at":"`+at(2)+`"}`,
	)
	want, err := FoldForm(all)
	if err != nil {
		t.Fatal(err)
	}
	if want.Fields["name"] != "Lee" || len(want.Fields) != 2 {
		t.Errorf("%v, want the last answers", want.Fields)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		mixed := append([]Event{}, all...)
		for range random.IntN(3) {
			mixed = append(mixed, all[random.IntN(len(all))])
		}
		random.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		got, err := FoldForm(mixed)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-in order +shuffled)\n%s", diff)
		}
	}
}
