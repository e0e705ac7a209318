package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ingestion.internal/shared/callrail"
	"ingestion.internal/shared/intake"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/topology"
)

// told is one webhook: which, and what it says.
type told struct{ event, body string }

func (f *fixture) tell(e told) answer {
	f.t.Helper()
	path := "/api/v1/callrail/webhook"
	if e.event != "" {
		path += "/" + e.event
	}
	rec := f.post(delivery{path: path, body: e.body})
	if rec.Code != http.StatusAccepted && rec.Code != http.StatusOK {
		f.t.Fatalf("%s: status %d: %s", e.event, rec.Code, rec.Body)
	}
	return f.accepted(rec, rec.Code)
}

func (f *fixture) request(id string) *store.Request {
	f.t.Helper()
	r, err := f.db.Tenant(storetest.Acme).Request(f.t.Context(), id)
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

// begun lists the stages of a request that wait, with their rounds.
func (f *fixture) begun(id string) []string {
	f.t.Helper()
	all, err := f.db.Tenant(storetest.Acme).Stages(f.t.Context(), id)
	if err != nil {
		f.t.Fatal(err)
	}
	var waiting []string
	for _, s := range all {
		if s.State == store.StatePending {
			waiting = append(waiting, fmt.Sprintf("%s/%d", s.Stage, s.Round))
		}
	}
	return waiting
}

// drain works every stage that waits, as the workers would.
func (f *fixture) drain(id string) {
	f.t.Helper()
	h := f.db.Tenant(storetest.Acme)
	for range 20 {
		all, err := h.Stages(f.t.Context(), id)
		if err != nil {
			f.t.Fatal(err)
		}
		i := slices.IndexFunc(all, func(s store.StageStatus) bool { return s.State == store.StatePending })
		if i < 0 {
			return
		}
		claim, err := h.Claim(f.t.Context(), id, all[i].Stage, time.Minute, 5)
		if err != nil || claim.State != store.Claimed {
			f.t.Fatalf("claim %s: %+v, %v", all[i].Stage, claim, err)
		}
		f.finish(claim)
	}
	f.t.Fatal("the stages do not come to an end")
}

// finish ends a claim with a result that tells what it was made from. A claim
// that was lost ends without one.
func (f *fixture) finish(c *store.Claim) {
	f.t.Helper()
	of := func(parts ...any) json.RawMessage {
		text, err := json.Marshal(parts)
		if err != nil {
			f.t.Fatal(err)
		}
		return text
	}
	var update store.RequestUpdate
	var next topology.Stage
	switch c.Stage {
	case topology.AudioProcessing:
		update.Transcription, next = of(c.Request.RecordingURL), topology.AIAnalysis
		if c.Request.CustomerName == "" {
			name := "as CallRail's API says"
			update.CustomerName = &name
		}
	case topology.AIAnalysis:
		update.Analysis, next = of(c.Request.Transcription, c.Request.Payload, c.Request.CustomerPhone), topology.Workflow
	default:
		decision := "decided"
		update.Decision = &decision
	}
	if _, err := f.db.Tenant(storetest.Acme).Finish(f.t.Context(), c, store.Outcome{Update: update, Next: next}); err != nil && !errors.Is(err, store.ErrLostClaim) {
		f.t.Fatal(err)
	}
}

func call(fields string) string { return `{"id":7,"company_id":1001` + fields + `}` }

// One call has one request, whatever is told of it, and each event begins what
// depends on it.
func TestEventsOfACall(t *testing.T) {
	f := newFixture(t, nil)
	steps := []struct {
		name string
		told
		status store.Status
		begun  []string
	}{
		{"ringing", told{"pre-call", call(`,"customer_phone_number":"+15550100300"`)}, store.StatusReceived, nil},
		{"routed", told{"call-routing-complete", call(`,"customer_phone_number":"+15550100300","customer_city":"Rochester"`)}, store.StatusReceived, nil},
		{"over_without_recording", told{"post-call", call(`,"answered":false,"voicemail":false,"duration":"0"`)}, store.StatusReceived, []string{"ai-analysis/0"}},
		{"noted", told{"call-modified", call(`,"answered":false,"duration":"0","note":"call back","changes":["note"]`)}, store.StatusProcessing, []string{"ai-analysis/1"}},
		{"scored_by_callrail", told{"call-modified", call(`,"answered":false,"duration":"0","note":"call back","score":5,"changes":["auto_score"]`)}, store.StatusCompleted, nil},
		{"recorded_late", told{"call-modified", call(`,"voicemail":true,"recording":"https://r.example/7?access_key=a","changes":["recording_duration"]`)}, store.StatusProcessing, []string{"audio-processing/0"}},
		{"same_recording", told{"call-modified", call(`,"voicemail":true,"recording":"https://r.example/7?access_key=b","changes":["tags"],"tags":[]`)}, store.StatusCompleted, nil},
		{"unknown_fields", told{"", call(`,"duration":"0","changes":["x"],"brand_new":{"a":[1]},"integration_data":null`)}, store.StatusCompleted, nil},
	}
	var id string
	for _, s := range steps {
		got := f.tell(s.told)
		if id == "" {
			id = got.RequestID
		}
		if got.RequestID != id || got.Status != string(s.status) {
			t.Errorf("%s: %+v, want request %s %s", s.name, got, id, s.status)
		}
		if diff := cmp.Diff(s.begun, f.begun(id)); diff != "" {
			t.Errorf("%s: stages (-want +got)\n%s", s.name, diff)
		}
		again := f.tell(s.told)
		if again.RequestID != id {
			t.Errorf("%s again: %+v", s.name, again)
		}
		f.drain(id)
	}
	requests, events, _ := f.rows()
	if requests != 1 || events != int64(len(steps)) {
		t.Errorf("%d requests and %d events, want 1 and %d", requests, events, len(steps))
	}
	r := f.request(id)
	if r.CustomerPhone != "+15550100300" || !callrail.SameRecording(r.RecordingURL, "https://r.example/7") || r.Status != store.StatusCompleted {
		t.Errorf("in the end: %+v", r)
	}
}

// What the company did itself is kept, and nothing follows from it.
func TestOutboundIsRecorded(t *testing.T) {
	f := newFixture(t, nil)
	for _, e := range []told{
		{"outbound-post-call", `{"id":8,"company_id":1001,"call_type":"outbound","duration":"40","recording":"https://r.example/8"}`},
		{"", `{"id":9,"company_id":1001,"direction":"outbound","duration":40,"changes":["note"]}`},
		{"text-sent", `{"id":10,"company_id":1001,"agent":"Kim","source_number":"+15550100400","destination_number":"+15550100300","content":"hello","conversation_id":"c1"}`},
	} {
		got := f.tell(e)
		if r := f.request(got.RequestID); got.Status != string(store.StatusCompleted) || r.Decision != "recorded" || len(r.DecisionReasons) != 1 {
			t.Errorf("%s: %+v, %+v", e.event, got, r)
		}
	}
	if _, _, stages := f.rows(); stages != 0 {
		t.Errorf("%d stages were begun", stages)
	}
}

// One conversation has one request, which is analysed with every message once
// the customer has written.
func TestConversationByText(t *testing.T) {
	f := newFixture(t, nil)
	message := func(id, from, to, agent, text, at string) string {
		return fmt.Sprintf(`{"resource_id":%q,"company_id":1001,"source_number":%q,"destination_number":%q,"agent":%s,"content":%q,"conversation_id":"c1","timestamp":%q}`,
			id, from, to, agent, text, at)
	}
	at := time.Now().Truncate(time.Second)
	sent := f.tell(told{"text-sent", message("M1", "+15550100400", "+15550100300", `"Kim"`, "How can we help?", at.Format(time.RFC3339))})
	got := f.tell(told{"", message("M2", "+15550100300", "+15550100400", "null", "A new roof", at.Add(time.Minute).Format(time.RFC3339))})
	if got.RequestID != sent.RequestID || got.Status != string(store.StatusProcessing) {
		t.Errorf("%+v, want request %s", got, sent.RequestID)
	}
	if diff := cmp.Diff([]string{"ai-analysis/0"}, f.begun(got.RequestID)); diff != "" {
		t.Errorf("stages (-want +got)\n%s", diff)
	}
	r := f.request(got.RequestID)
	var c callrail.Conversation
	if err := json.Unmarshal(r.Payload, &c); err != nil {
		t.Fatal(err)
	}
	want := []callrail.Message{
		{ID: "M1", From: callrail.FromBusiness, At: at, Text: "How can we help?"},
		{ID: "M2", From: callrail.FromCustomer, At: at.Add(time.Minute), Text: "A new roof"},
	}
	if diff := cmp.Diff(want, c.Messages); diff != "" {
		t.Errorf("messages (-want +got)\n%s", diff)
	}
	if r.CommunicationMode != store.ModeText || r.CustomerPhone != "+15550100300" {
		t.Errorf("%+v", r)
	}
}

// A picture is fetched before the analysis, and a message without one does not
// have those of others fetched again. What the company sends is its own.
func TestPictureByText(t *testing.T) {
	f := newFixture(t, nil)
	at := time.Now().Truncate(time.Second)
	message := func(id, from, to, agent, media string, after time.Duration) string {
		return fmt.Sprintf(`{"resource_id":%q,"company_id":1001,"source_number":%q,"destination_number":%q,"agent":%s,"content":"","media_urls":%s,"conversation_id":"c9","timestamp":%q}`,
			id, from, to, agent, media, at.Add(after).Format(time.RFC3339))
	}
	const customer, company = "+15550100300", "+15550100400"
	first := f.tell(told{"text-received", message("M1", customer, company, "null", `["https://app.callrail.com/m/1"]`, 0)})
	if diff := cmp.Diff([]string{"audio-processing/0"}, f.begun(first.RequestID)); diff != "" {
		t.Errorf("a picture begins (-want +got)\n%s", diff)
	}
	f.tell(told{"text-sent", message("M2", company, customer, `"Kim"`, `["https://app.callrail.com/m/2"]`, time.Minute)})
	if diff := cmp.Diff([]string{"audio-processing/0"}, f.begun(first.RequestID)); diff != "" {
		t.Errorf("the company's picture begins (-want +got)\n%s", diff)
	}
	pictures, err := callrail.PicturesOf(f.request(first.RequestID).Payload)
	if err != nil || len(pictures) != 1 || pictures[0] != (callrail.Picture{Source: "M1/1", Address: "https://app.callrail.com/m/1"}) {
		t.Errorf("pictures %+v, %v", pictures, err)
	}
}

// A form has one request, by the names of its tenant's website, and is analysed
// again if it is told of with other answers. What is not what its name says
// costs no lead.
func TestFormSubmission(t *testing.T) {
	f := newFixture(t, nil)
	declared := storetest.Manifest().Tenants[0]
	declared.Intake = intake.Config{Aliases: map[string]string{"Rückruf": intake.Phone}}
	if _, err := f.db.Tenant(storetest.Acme).Sync(t.Context(), declared); err != nil {
		t.Fatal(err)
	}
	sent := func(id int, data, more string) string {
		return fmt.Sprintf(`{"id":%d,"company_id":1001,"form_data":%s,"form_url":"https://www.acme.example/contact","submitted_at":%q%s}`, id, data, time.Now().Format(time.RFC3339), more)
	}
	const data = `{"your-name":"Kim Lee","Rückruf":"(310) 555-0123","Email":"not an address","zip":55901,"rooms":["kitchen"]}`
	first := f.tell(told{"form-submission", sent(1, data, "")})
	r := f.request(first.RequestID)
	want := &store.Request{
		TenantID: "acme", RequestID: first.RequestID, OfficeID: r.OfficeID, Source: store.SourceCallRail, CommunicationMode: store.ModeForm,
		Status: store.StatusReceived, CustomerName: "Kim Lee", CustomerPhone: "+13105550123", PostalCode: "55901",
	}
	if diff := cmp.Diff(want, r, cmpopts.IgnoreFields(store.Request{}, "Payload", "ReceivedAt", "UpdatedAt")); diff != "" || r.OfficeID == "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, s := range []struct {
		name string
		told
		begun []string
	}{
		{"scored", told{"", sent(1, data, `,"score":5`)}, nil},
		{"corrected", told{"form-submission", sent(1, `{"your-name":"Kim Lee","message":"A new roof"}`, `,"score":5`)}, []string{"ai-analysis/1"}},
		{"without_data", told{"form-submission", sent(2, "null", "")}, []string{"ai-analysis/0"}},
		{"of_another_shape", told{"form-submission", sent(3, `["x"]`, "")}, []string{"ai-analysis/0"}},
		{"written_as_a_string", told{"form-submission", sent(4, strconv.Quote(data), "")}, []string{"ai-analysis/0"}},
	} {
		f.drain(first.RequestID)
		got := f.tell(s.told)
		if diff := cmp.Diff(s.begun, f.begun(got.RequestID)); diff != "" {
			t.Errorf("%s: stages (-want +got)\n%s", s.name, diff)
		}
		if r := f.request(got.RequestID); s.name == "written_as_a_string" && r.CustomerName != "Kim Lee" {
			t.Errorf("%s: %+v", s.name, r)
		}
	}
	if requests, events, _ := f.rows(); requests != 4 || events != 6 {
		t.Errorf("%d requests and %d events, want 4 and 6", requests, events)
	}
}

// The signature is of the body and of nothing else. Sent again to another
// address, a body is the event that it was, also when a call's is old enough to
// be taken for a modification only.
func TestReplayAtAnotherAddress(t *testing.T) {
	at := time.Now().Format(time.RFC3339)
	for name, first := range map[string]told{
		"ringing":  {"pre-call", fmt.Sprintf(`{"id":71,"company_id":1001,"customer_phone_number":"+15550100300","timestamp":%q}`, at)},
		"call":     {"post-call", fmt.Sprintf(`{"id":72,"company_id":1001,"answered":true,"duration":"61","timestamp":%q}`, at)},
		"outbound": {"outbound-post-call", fmt.Sprintf(`{"id":73,"company_id":1001,"direction":"outbound","duration":"61","timestamp":%q}`, at)},
		"platform": {"", platformPayload("CAL74")},
		"text":     {"text-received", fmt.Sprintf(`{"id":75,"company_id":1001,"source_number":"+15550100300","destination_number":"+15550100400","content":"hi","timestamp":%q}`, at)},
		"form":     {"form-submission", fmt.Sprintf(`{"id":76,"company_id":1001,"form_data":{"phone":"+15550100300"},"submitted_at":%q}`, at)},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			made := f.tell(first)
			before, begun := f.request(made.RequestID), f.begun(made.RequestID)
			for _, kind := range append([]callrail.Kind{""}, callrail.Kinds...) {
				if again := f.tell(told{string(kind), first.body}); again.RequestID != made.RequestID {
					t.Errorf("%q: request %s, want %s", kind, again.RequestID, made.RequestID)
				}
			}
			if diff := cmp.Diff(before, f.request(made.RequestID)); diff != "" {
				t.Errorf("the request (-before +after)\n%s", diff)
			}
			if diff := cmp.Diff(begun, f.begun(made.RequestID)); diff != "" {
				t.Errorf("stages (-before +after)\n%s", diff)
			}
			if requests, events, _ := f.rows(); requests != 1 || events != 1 {
				t.Errorf("%d requests and %d events, want one of each", requests, events)
			}
		})
	}
}

// While a signing key is changed, both are good.
func TestTwoKeysDuringRotation(t *testing.T) {
	f := newFixture(t, nil)
	f.google.SetSecret("callrail-signing-key-acme", "new-key\n"+acmeKey+"\n")
	for key, want := range map[string]int{
		"new-key": http.StatusAccepted, acmeKey: http.StatusAccepted,
		"new-key\n" + acmeKey: http.StatusUnauthorized, "older": http.StatusUnauthorized,
	} {
		if rec := f.post(delivery{body: platformPayload("CAL" + strconv.Itoa(len(key))), key: key}); rec.Code != want {
			t.Errorf("key %q: status %d, want %d", key, rec.Code, want)
		}
	}
}

func TestUnknownWebhook(t *testing.T) {
	f := newFixture(t, nil)
	if rec := f.post(delivery{path: "/api/v1/callrail/webhook/form-lost", body: platformPayload("CAL1")}); rec.Code != http.StatusNotFound {
		t.Errorf("status %d, want 404", rec.Code)
	}
}

// Whatever the order in which webhooks come, how often each comes, which of
// them are lost, and where the workers are meanwhile: a call and a conversation
// end as if what came had come once and in order.
func TestDeliveriesAreOrderIndependent(t *testing.T) {
	at := time.Now().Add(-time.Hour)
	when := func(minute int) string { return at.Add(time.Duration(minute) * time.Minute).Format(time.RFC3339) }
	life := func(call int) []told {
		c := func(fields string) string {
			return fmt.Sprintf(`{"id":%d,"company_id":1001,"timestamp":%q%s}`, call, when(0), fields)
		}
		m := func(id int, agent, from, to, text string) string {
			return fmt.Sprintf(`{"resource_id":"M%d","company_id":1001,"agent":%s,"source_number":%q,"destination_number":%q,"content":%q,"conversation_id":"c%d","timestamp":%q}`,
				id, agent, from, to, text, call, when(id))
		}
		return []told{
			{"pre-call", c(`,"customer_phone_number":"+15550100300"`)},
			{"call-routing-complete", c(`,"customer_phone_number":"+15550100300","customer_city":"Rochester"`)},
			{"post-call", c(`,"customer_phone_number":"+15550100300","answered":true,"duration":"60"`)},
			{"call-modified", c(`,"customer_phone_number":"+15550100300","duration":60,"recording":"https://r.example/1","changes":["recording_duration"]`)},
			{"call-modified", c(`,"customer_phone_number":"+15550100300","duration":60,"recording":"https://r.example/1","note":"call back","value":12.50,"changes":["note"]`)},
			{"text-received", m(1, "null", "+15550100300", "+15550100400", "hi")},
			{"text-sent", m(2, `"Kim"`, "+15550100400", "+15550100300", "hello")},
			{"text-received", m(3, "null", "+15550100300", "+15550100400", "a new roof")},
		}
	}
	f := newFixture(t, nil)
	outcome := func(number int, deliveries []told, between func(ids []string)) map[string]*store.Request {
		requests := map[string]*store.Request{}
		var ids []string
		for _, d := range deliveries {
			id := f.tell(d).RequestID
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
			between(ids)
		}
		for _, id := range ids {
			f.drain(id)
			r := f.request(id)
			requests[r.CommunicationMode] = r
		}
		return requests
	}
	// Each sequence is a call of its own, so ids differ, and nothing else.
	same := cmp.Options{
		cmpopts.IgnoreFields(store.Request{}, "RequestID", "CallID", "ReceivedAt", "UpdatedAt", "Revision", "Payload", "Analysis"),
	}
	for seed := range 8 {
		random := rand.New(rand.NewPCG(uint64(seed), 3))
		lost := map[int]bool{}
		for range random.IntN(3) {
			lost[random.IntN(8)] = true
		}
		pick := func(call int) []told {
			var kept []told
			for i, e := range life(call) {
				if !lost[i] {
					kept = append(kept, e)
				}
			}
			return kept
		}
		want := outcome(1000+seed, pick(1000+seed), func(ids []string) {
			for _, id := range ids {
				f.drain(id)
			}
		})
		mixed := pick(2000 + seed)
		for range random.IntN(4) {
			mixed = append(mixed, mixed[random.IntN(len(mixed))])
		}
		random.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		var claims []*store.Claim
		got := outcome(2000+seed, mixed, func(ids []string) {
			// Some worker takes a stage, or ends one that it took.
			if len(claims) > 0 && random.IntN(2) == 0 {
				f.finish(claims[0])
				claims = claims[1:]
				return
			}
			stage := topology.Stages[random.IntN(len(topology.Stages))]
			claim, err := f.db.Tenant(storetest.Acme).Claim(t.Context(), ids[random.IntN(len(ids))], stage, time.Minute, 50)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				t.Fatal(err)
			}
			if err == nil && claim.State == store.Claimed {
				claims = append(claims, claim)
			}
			if len(claims) > 0 && len(ids) == 2 && random.IntN(2) == 0 {
				f.finish(claims[0])
				claims = claims[1:]
			}
		})
		for _, c := range claims {
			f.finish(c)
			f.drain(c.Request.RequestID)
			got[c.Request.CommunicationMode] = f.request(c.Request.RequestID)
		}
		if len(want) != len(got) {
			t.Fatalf("seed %d: %d and %d requests", seed, len(want), len(got))
		}
		for mode := range want {
			if diff := cmp.Diff(want[mode], got[mode], same...); diff != "" {
				t.Errorf("seed %d, lost %v: %s (-ordered +shuffled)\n%s", seed, lost, mode, diff)
			}
			if diff := cmp.Diff(without(t, want[mode].Payload), without(t, got[mode].Payload)); diff != "" {
				t.Errorf("seed %d, lost %v: payload of %s (-ordered +shuffled)\n%s", seed, lost, mode, diff)
			}
			// The analysis is of what the request says in the end.
			if a := got[mode].Analysis; len(a) > 0 {
				var of []json.RawMessage
				if err := json.Unmarshal(a, &of); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(without(t, got[mode].Payload), without(t, of[1])); diff != "" {
					t.Errorf("seed %d, lost %v: %s was analysed from something else\n%s", seed, lost, mode, diff)
				}
			}
		}
	}
}

// without decodes a payload and drops the ids by which sequences differ, and
// what needs no analysis.
func without(t *testing.T, payload json.RawMessage) map[string]any {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(payload, &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"id", "conversation_id", "changes"} {
		delete(fields, name)
	}
	return fields
}

// TestDeadRecordingAndANote: what a stage did not find out is tried again when
// something is heard of the call, instead of going on without it.
func TestDeadRecordingAndANote(t *testing.T) {
	f := newFixture(t, nil)
	h := f.db.Tenant(storetest.Acme)
	const over = `,"call_id":"CAL77","resource_id":"CAL77","duration":"60","answered":true,"recording":"https://api.callrail.com/v3/a/1/calls/CAL77/recording.json"`
	id := f.tell(told{"post-call", call(over)}).RequestID
	c, err := h.Claim(t.Context(), id, topology.AudioProcessing, time.Minute, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Fail(t.Context(), c, "Speech-to-Text is away", false, 1); err != nil {
		t.Fatal(err)
	}
	if r := f.request(id); r.Status != store.StatusDeadLetter {
		t.Fatalf("status %s", r.Status)
	}
	f.tell(told{"call-modified", call(over + `,"note":"call back"`)})
	if diff := cmp.Diff([]string{"audio-processing/1"}, f.begun(id)); diff != "" {
		t.Errorf("begun (-want +got)\n%s", diff)
	}
}

// TestANoteForgetsNobody: who called is known from CallRail's API, which is not
// asked again because of a note.
func TestANoteForgetsNobody(t *testing.T) {
	f := newFixture(t, nil)
	h := f.db.Tenant(storetest.Acme)
	const over = `,"call_id":"CAL78","resource_id":"CAL78","duration":"60","answered":true`
	id := f.tell(told{"post-call", call(over)}).RequestID
	c, err := h.Claim(t.Context(), id, topology.AudioProcessing, time.Minute, 3)
	if err != nil {
		t.Fatal(err)
	}
	phone, name := "+13105550142", "Robin Example"
	if _, err := h.Finish(t.Context(), c, store.Outcome{Next: topology.AIAnalysis, Update: store.RequestUpdate{
		CustomerPhone: &phone, CustomerName: &name, Transcription: []byte(`{"status":"completed","text":"x"}`),
	}}); err != nil {
		t.Fatal(err)
	}
	f.drain(id)
	f.tell(told{"call-modified", call(over + `,"note":"call back"`)})
	f.drain(id)
	if r := f.request(id); r.CustomerPhone != phone || r.CustomerName != name || r.Status != store.StatusCompleted {
		t.Errorf("after a note: %+v", r)
	}
}
