package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/topology"
)

// note is an event of a made-up source: fields with the rank by which they
// count.
type note struct {
	Rank   int
	Fields map[string]string
}

func noteEvent(id string, n note) store.Event {
	payload, err := json.Marshal(n)
	if err != nil {
		panic(err)
	}
	return store.Event{
		ID: store.EventID(storetest.Acme, "notes", id), Type: "note", Source: "notes", CallID: "N1",
		Payload: payload, OccurredAt: time.Unix(int64(1000+n.Rank), 0).UTC(),
	}
}

// foldNotes lays the notes over each other by rank. A changed address of the
// recording begins the audio's stage, any other change the analysis.
func foldNotes(current *store.Request, events []store.Event) (store.Revision, error) {
	notes := make([]note, len(events))
	for i, e := range events {
		if err := json.Unmarshal(e.Payload, &notes[i]); err != nil {
			return store.Revision{}, err
		}
	}
	slices.SortFunc(notes, func(a, b note) int { return a.Rank - b.Rank })
	fields := map[string]string{}
	for _, n := range notes {
		maps.Copy(fields, n.Fields)
	}
	payload, err := json.Marshal(fields)
	if err != nil {
		return store.Revision{}, err
	}
	r := store.Revision{Request: store.Request{
		TenantID: storetest.Acme, Source: "notes", CommunicationMode: store.ModePhoneCall, CallID: "N1",
		CustomerName: fields["name"], RecordingURL: fields["recording"], Payload: payload,
	}}
	switch {
	case current == nil || current.RecordingURL != r.Request.RecordingURL:
		r.Begin = topology.AIAnalysis
		if r.Request.RecordingURL != "" {
			r.Begin = topology.AudioProcessing
		}
	case !sameJSON(current.Payload, payload):
		r.Begin = topology.AIAnalysis
	}
	return r, nil
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && cmp.Equal(x, y)
}

func record(t *testing.T, h *store.Tenant, requestID string, event store.Event) store.Acceptance {
	t.Helper()
	acc, err := h.Record(t.Context(), requestID, event, foldNotes)
	if err != nil {
		t.Fatal(err)
	}
	return acc
}

// work claims and finishes the stage as a worker would, and returns what is to
// be enqueued.
func work(t *testing.T, h *store.Tenant, requestID string, stage topology.Stage) []store.Step {
	t.Helper()
	return finish(t, h, claim(t, h, requestID, stage, store.Claimed))
}

func finish(t *testing.T, h *store.Tenant, c *store.Claim) []store.Step {
	t.Helper()
	steps, err := h.Finish(t.Context(), c, store.Outcome{Update: result(c), Next: following(c.Stage)})
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

// result derives a stage's result from what it was given, so that work on old
// facts can be told from work on new ones.
func result(c *store.Claim) store.RequestUpdate {
	of := func(what string) json.RawMessage {
		return json.RawMessage(fmt.Sprintf(`{"of":%q}`, what))
	}
	switch c.Stage {
	case topology.AudioProcessing:
		u := store.RequestUpdate{Transcription: of(c.Request.RecordingURL)}
		if c.Request.CustomerName == "" { // as CallRail's API knows it
			caller := "caller of " + c.Request.RecordingURL
			u.CustomerName = &caller
		}
		return u
	case topology.AIAnalysis:
		return store.RequestUpdate{Analysis: of(string(c.Request.Payload) + string(c.Request.Transcription))}
	}
	decision := "of " + string(c.Request.Analysis)
	return store.RequestUpdate{Decision: &decision}
}

// following is the next stage of a call from whose decision nothing follows.
func following(stage topology.Stage) topology.Stage {
	switch stage {
	case topology.AudioProcessing:
		return topology.AIAnalysis
	case topology.AIAnalysis:
		return topology.Workflow
	}
	return ""
}

func TestRecordBeginsWhatDependsOnTheEvent(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	h := db.Tenant(storetest.Acme)
	id := store.RequestID(storetest.Acme, "notes", "N1")

	first := record(t, h, id, noteEvent("a", note{1, map[string]string{"name": "Ann"}}))
	if diff := cmp.Diff(store.Acceptance{RequestID: id, Status: store.StatusReceived, Unsent: []store.Step{{Stage: topology.AIAnalysis}}}, first); diff != "" {
		t.Errorf("first event (-want +got)\n%s", diff)
	}
	work(t, h, id, topology.AIAnalysis)
	work(t, h, id, topology.Workflow)
	if got := status(t, h, id); got != store.StatusCompleted {
		t.Fatalf("status %s", got)
	}

	// A recording that comes late begins a stage that the request never had.
	late := record(t, h, id, noteEvent("b", note{2, map[string]string{"recording": "https://r/1"}}))
	want := store.Acceptance{RequestID: id, Status: store.StatusProcessing, Revised: true, Unsent: []store.Step{{Stage: topology.AudioProcessing}}}
	if diff := cmp.Diff(want, late); diff != "" {
		t.Errorf("late recording (-want +got)\n%s", diff)
	}
	claim(t, h, id, topology.AIAnalysis, store.Superseded)
	claim(t, h, id, topology.Workflow, store.Superseded)
	if diff := cmp.Diff([]store.Step{{Stage: topology.AIAnalysis, Round: 1}}, work(t, h, id, topology.AudioProcessing)); diff != "" {
		t.Errorf("after the audio (-want +got)\n%s", diff)
	}
	work(t, h, id, topology.AIAnalysis)
	work(t, h, id, topology.Workflow)

	// A correction while the analysis runs takes its claim away.
	record(t, h, id, noteEvent("c", note{3, map[string]string{"zip": "90210"}}))
	running := claim(t, h, id, topology.AIAnalysis, store.Claimed)
	if running.Round != 2 || running.Attempt != 1 {
		t.Errorf("round %d, attempt %d", running.Round, running.Attempt)
	}
	record(t, h, id, noteEvent("d", note{4, map[string]string{"name": "Anne"}}))
	if _, err := h.Finish(t.Context(), running, store.Outcome{Update: result(running), Next: topology.Workflow}); !errors.Is(err, store.ErrLostClaim) {
		t.Errorf("an attempt of an earlier round: %v, want ErrLostClaim", err)
	}
	work(t, h, id, topology.AIAnalysis)
	work(t, h, id, topology.Workflow)
	got, err := h.Request(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != store.StatusCompleted || got.CustomerName != "Anne" || got.Revision != 3 {
		t.Errorf("in the end: %+v", got)
	}

	// What is known is known, whatever has happened since.
	again := record(t, h, id, noteEvent("b", note{2, map[string]string{"recording": "https://r/1"}}))
	if !again.Duplicate || again.Revised || len(again.Unsent) != 0 || again.Status != store.StatusCompleted {
		t.Errorf("repeated delivery: %+v", again)
	}
	changed := noteEvent("b", note{2, map[string]string{"recording": "https://r/2"}})
	if _, err := h.Record(t.Context(), id, changed, foldNotes); !errors.Is(err, store.ErrDifferentEvent) {
		t.Errorf("another content under a known id: %v, want ErrDifferentEvent", err)
	}

	// A time that no column can have is left out, and the event is kept.
	for i, at := range []time.Time{time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("", -5*3600))} {
		odd := noteEvent(fmt.Sprintf("odd-%d", i), note{2, map[string]string{"zip": "90210"}})
		odd.OccurredAt = at
		record(t, h, id, odd)
	}

	// What an event is known by is what its sender says, where that is named.
	said := noteEvent("e", note{5, map[string]string{"name": "Anne"}})
	said.Said = json.RawMessage(`"once"`)
	record(t, h, id, said)
	said.Payload = noteEvent("e", note{6, map[string]string{"name": "Bob"}}).Payload
	if again := record(t, h, id, said); !again.Duplicate {
		t.Errorf("said again: %+v", again)
	}
	said.Said = json.RawMessage(`"twice"`)
	if _, err := h.Record(t.Context(), id, said, foldNotes); !errors.Is(err, store.ErrDifferentEvent) {
		t.Errorf("something else was said: %v, want ErrDifferentEvent", err)
	}
}

// A stage that works on what is no longer so is begun again, although what
// changed concerns a later one: it would write over what the event said.
func TestRecordWhileAnEarlierStageRuns(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	h := db.Tenant(storetest.Acme)
	id := store.RequestID(storetest.Acme, "notes", "N1")
	record(t, h, id, noteEvent("a", note{1, map[string]string{"recording": "https://r/1"}}))
	running := claim(t, h, id, topology.AudioProcessing, store.Claimed)
	acc := record(t, h, id, noteEvent("b", note{2, map[string]string{"name": "Ann"}}))
	if diff := cmp.Diff([]store.Step{{Stage: topology.AudioProcessing, Round: 1}}, acc.Unsent); diff != "" {
		t.Errorf("unsent (-want +got)\n%s", diff)
	}
	if _, err := h.Finish(t.Context(), running, store.Outcome{Update: result(running), Next: topology.AIAnalysis}); !errors.Is(err, store.ErrLostClaim) {
		t.Errorf("an attempt on old facts: %v, want ErrLostClaim", err)
	}
	// One that has not begun works on the new facts, so it stays as it is.
	acc = record(t, h, id, noteEvent("c", note{3, map[string]string{"zip": "90210"}}))
	if diff := cmp.Diff([]store.Step{{Stage: topology.AudioProcessing, Round: 1}}, acc.Unsent); diff != "" {
		t.Errorf("unsent (-want +got)\n%s", diff)
	}
	for stage := topology.AudioProcessing; stage != ""; stage = following(stage) {
		work(t, h, id, stage)
	}
	if r, err := h.Request(t.Context(), id); err != nil || r.CustomerName != "Ann" || r.Status != store.StatusCompleted {
		t.Errorf("in the end: %+v, %v", r, err)
	}
}

// An event that changes nothing that a stage works on leaves the stages alone,
// and what a stage has found out of the customer.
func TestRecordWithoutConsequence(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	h := db.Tenant(storetest.Acme)
	id := store.RequestID(storetest.Acme, "notes", "N1")
	record(t, h, id, noteEvent("a", note{1, map[string]string{"zip": "90210"}}))
	c := claim(t, h, id, topology.AIAnalysis, store.Claimed)
	name := "found by the analysis"
	if _, err := h.Finish(t.Context(), c, store.Outcome{Update: store.RequestUpdate{CustomerName: &name}, Next: topology.Workflow}); err != nil {
		t.Fatal(err)
	}
	acc := record(t, h, id, noteEvent("b", note{2, map[string]string{"zip": "90210"}}))
	if want := []store.Step{{Stage: topology.Workflow}}; !acc.Revised || !cmp.Equal(acc.Unsent, want) {
		t.Errorf("%+v, want unsent %v", acc, want)
	}
	work(t, h, id, topology.Workflow)
	if r, err := h.Request(t.Context(), id); err != nil || r.CustomerName != name || r.Status != store.StatusCompleted {
		t.Errorf("%+v, %v", r, err)
	}
	events, err := h.Events(t.Context(), id)
	if err != nil || len(events) != 2 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	another := store.RequestID(storetest.Acme, "notes", "another")
	record(t, h, another, noteEvent("c", note{}))
	of, err := h.EventsOf(t.Context(), []string{id, another, "00000000-0000-0000-0000-000000000000"})
	if err != nil || len(of) != 2 || !cmp.Equal(of[id], events) || len(of[another]) != 1 {
		t.Errorf("of several requests: %+v, %v", of, err)
	}
	if of, err := db.Tenant(storetest.Bolt).EventsOf(t.Context(), []string{id}); err != nil || len(of) != 0 {
		t.Errorf("another tenant is told %+v, %v", of, err)
	}
}

// A fold that refuses the event leaves no trace of it.
func TestRecordRefused(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	h := db.Tenant(storetest.Acme)
	refusal := errors.New("not of this call")
	id := store.RequestID(storetest.Acme, "notes", "N1")
	for name, fold := range map[string]store.Fold{
		"refused": func(*store.Request, []store.Event) (store.Revision, error) { return store.Revision{}, refusal },
		"another_tenant": func(*store.Request, []store.Event) (store.Revision, error) {
			return store.Revision{Request: store.Request{TenantID: storetest.Bolt}}, nil
		},
	} {
		if _, err := h.Record(t.Context(), id, noteEvent("a", note{}), fold); err == nil {
			t.Errorf("%s: recorded", name)
		}
	}
	if _, err := h.Request(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("there is a request: %v", err)
	}
	if events, err := h.Events(t.Context(), id); err != nil || len(events) != 0 {
		t.Errorf("%d events, %v", len(events), err)
	}
}

// Whatever the order and number of deliveries, and wherever the workers are
// when they come, a request ends as if its events had come once and in order.
func TestRecordIsOrderIndependent(t *testing.T) {
	t.Parallel()
	events := []store.Event{
		noteEvent("a", note{1, map[string]string{"name": "Ann"}}),
		noteEvent("b", note{2, map[string]string{"recording": "https://r/1", "duration": "10"}}),
		noteEvent("c", note{3, map[string]string{"name": "Anne", "zip": "90210"}}),
		noteEvent("d", note{4, map[string]string{"recording": "https://r/2"}}),
	}
	final := func(t *testing.T, seed uint64) *store.Request {
		h := storetest.Open(t).Tenant(storetest.Acme)
		id := store.RequestID(storetest.Acme, "notes", "N1")
		random := rand.New(rand.NewPCG(seed, 1))
		deliveries := slices.Clone(events)
		var claims []*store.Claim
		if seed > 0 {
			for range random.IntN(4) {
				deliveries = append(deliveries, events[random.IntN(len(events))])
			}
			random.Shuffle(len(deliveries), func(i, j int) { deliveries[i], deliveries[j] = deliveries[j], deliveries[i] })
		}
		// One random step of some worker: a claim, or the end of one.
		step := func() {
			if len(claims) > 0 && random.IntN(2) == 0 {
				i := random.IntN(len(claims))
				c := claims[i]
				claims = slices.Delete(claims, i, i+1)
				if _, err := h.Finish(t.Context(), c, store.Outcome{Update: result(c), Next: following(c.Stage)}); err != nil && !errors.Is(err, store.ErrLostClaim) {
					t.Fatal(err)
				}
				return
			}
			stage := topology.Stages[random.IntN(len(topology.Stages))]
			c, err := h.Claim(t.Context(), id, stage, time.Hour, 100)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				t.Fatal(err)
			}
			if err == nil && c.State == store.Claimed {
				claims = append(claims, c)
			}
		}
		for _, e := range deliveries {
			record(t, h, id, e)
			if seed > 0 {
				for range random.IntN(5) {
					step()
				}
			}
		}
		for range 500 {
			if status(t, h, id) == store.StatusCompleted && len(claims) == 0 {
				break
			}
			step()
		}
		r, err := h.Request(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if r.Status != store.StatusCompleted {
			t.Fatalf("seed %d: ended %s", seed, r.Status)
		}
		return r
	}
	want := final(t, 0)
	if want.CustomerName != "Anne" || want.RecordingURL != "https://r/2" {
		t.Fatalf("the ordered sequence: %+v", want)
	}
	same := cmpopts.IgnoreFields(store.Request{}, "ReceivedAt", "UpdatedAt", "Revision")
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed+1), func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(want, final(t, seed+1), same); diff != "" {
				t.Errorf("(-ordered +shuffled)\n%s", diff)
			}
		})
	}
}
