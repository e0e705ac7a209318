package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/workflow"
)

func story(t *testing.T, h *store.Tenant, requestID string) *store.Story {
	t.Helper()
	s, err := h.Story(t.Context(), requestID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestAuditTrail follows one request through everything that can happen to it:
// each step adds its lines, and what was written before stays as it was.
func TestAuditTrail(t *testing.T) {
	t.Parallel()
	clk := &clock{}
	db := storetest.Open(t, store.WithClock(clk.now))
	h := db.Tenant(storetest.Acme)
	id := accept(t, db, storetest.Acme, "A1")
	hash := store.ConfigHash(workflow.Default())
	all := []store.Entry{}
	grows := func(what string, want ...store.Entry) {
		t.Helper()
		got := story(t, h, id).Entries
		if diff := cmp.Diff(all, got[:len(all)]); diff != "" {
			t.Fatalf("%s changed the trail (-want +got)\n%s", what, diff)
		}
		if diff := cmp.Diff(want, got[len(all):], ignoreTimes, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s (-want +got)\n%s", what, diff)
		}
		for i, e := range got {
			if e.At.IsZero() || i > 0 && e.At.Before(got[i-1].At) {
				t.Fatalf("%s: entry %d is of %s, after %s", what, i, e.At, got[max(i-1, 0)].At)
			}
		}
		all = got
	}

	grows("accept", store.Entry{Action: store.ActionAccepted, Reason: "an event of callrail_webhook was accepted",
		Details: map[string]any{"communication_mode": "phone_call", "call_id": "A1", "office_id": "", "next": "audio-processing"}})
	if _, err := storetest.Accept(t.Context(), h, call(storetest.Acme, "A1"), topology.AudioProcessing); err != nil {
		t.Fatal(err)
	}
	grows("a second delivery")

	clk.advance(time.Hour)
	if taken, err := h.TakeUp(t.Context(), id, topology.AudioProcessing); err != nil || taken == nil {
		t.Fatal(taken, err)
	}
	grows("the sweeper", store.Entry{Action: store.ActionTakenUp, Reason: "nobody was working on the stage", Stage: topology.AudioProcessing,
		Details: map[string]any{"state": "pending", "generation": 0.0}})

	lost := claim(t, h, id, topology.AudioProcessing, store.Claimed)
	if _, err := h.Fail(t.Context(), lost, "no answer", false, maxAttempts); err != nil {
		t.Fatal(err)
	}
	grows("a failed attempt", store.Entry{Action: store.ActionAttemptFailed, Reason: "no answer", Stage: topology.AudioProcessing,
		ConfigHash: hash, Details: map[string]any{"attempt": 1.0}})

	c := claim(t, h, id, topology.AudioProcessing, store.Claimed)
	entries := []store.Entry{
		{Action: "first", Reason: strings.Repeat("ü", 2000), Details: map[string]any{"list": []string{"a"}, "big": uint64(1) << 63}},
		{Action: "second", Model: "m", PromptVersion: "p.v1", ConfigHash: "other", Stage: topology.Workflow},
	}
	if _, err := h.Finish(t.Context(), lost, store.Outcome{Entries: entries}); !errors.Is(err, store.ErrLostClaim) {
		t.Fatalf("finish of a lost claim: %v", err)
	}
	grows("a lost claim")
	if _, err := h.Finish(t.Context(), c, store.Outcome{Entries: entries, Next: topology.AIAnalysis}); err != nil {
		t.Fatal(err)
	}
	grows("an outcome",
		store.Entry{Action: "first", Reason: strings.Repeat("ü", 1024), Stage: topology.AudioProcessing, ConfigHash: hash,
			Details: map[string]any{"list": []any{"a"}, "big": "9223372036854775808"}},
		store.Entry{Action: "second", Model: "m", PromptVersion: "p.v1", ConfigHash: "other", Stage: topology.Workflow})

	for range maxAttempts {
		claim(t, h, id, topology.AIAnalysis, store.Claimed)
		clk.advance(lease + time.Second)
	}
	claim(t, h, id, topology.AIAnalysis, store.Exhausted)
	grows("a dead letter", store.Entry{Action: store.ActionDeadLetter, Reason: "attempt 3 did not end within its lease",
		Stage: topology.AIAnalysis, Details: map[string]any{"attempts": 3.0}})

	got := story(t, h, id)
	if got.Request.Status != store.StatusDeadLetter || got.Office == nil || got.Office.OfficeID != "north" || len(got.Stages) != 2 {
		t.Errorf("story: %+v", got)
	}
	if _, err := db.Tenant(storetest.Bolt).Story(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another tenant's story: %v, want ErrNotFound", err)
	}
}

func TestAuditTellsWhoFailedForGood(t *testing.T) {
	t.Parallel()
	cfg := storetest.Config(t)
	cfg.Actor = "worker-00001-abc"
	db, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	h := db.Tenant(storetest.Acme)
	declared := storetest.Manifest().Tenants[0]
	if _, err := h.Sync(t.Context(), declared); err != nil {
		t.Fatal(err)
	}
	id := accept(t, db, storetest.Acme, "A2")
	if _, err := h.Fail(t.Context(), claim(t, h, id, topology.AudioProcessing, store.Claimed), "forbidden", true, maxAttempts); err != nil {
		t.Fatal(err)
	}
	entries := story(t, h, id).Entries
	want := store.Entry{Action: store.ActionStageFailed, Reason: "forbidden", Stage: topology.AudioProcessing, Actor: "worker-00001-abc",
		ConfigHash: store.ConfigHash(declared.Offices[0].Workflow), Details: map[string]any{"attempts": 1.0}}
	if diff := cmp.Diff(want, entries[len(entries)-1], ignoreTimes); diff != "" {
		t.Errorf("last entry (-want +got)\n%s", diff)
	}
}

func TestAuditRefusesWhatIsNoJSON(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	h := db.Tenant(storetest.Acme)
	id := accept(t, db, storetest.Acme, "A3")
	c := claim(t, h, id, topology.AudioProcessing, store.Claimed)
	_, err := h.Finish(t.Context(), c, store.Outcome{Entries: []store.Entry{{Action: "bad", Details: map[string]any{"f": func() {}}}}})
	if err == nil || !strings.Contains(err.Error(), "audit entry bad") {
		t.Errorf("Finish = %v, want an error about the entry", err)
	}
	if s := story(t, h, id); len(s.Entries) != 1 || s.Stages[0].State != store.StateRunning {
		t.Errorf("the refused outcome left %+v", s)
	}
}

func TestConfigHash(t *testing.T) {
	t.Parallel()
	a, b := workflow.Default(), workflow.Default()
	if store.ConfigHash(a) != store.ConfigHash(b) || len(store.ConfigHash(a)) != 16 {
		t.Errorf("hash %q and %q of the same workflow", store.ConfigHash(a), store.ConfigHash(b))
	}
	b.EmailNotifications.Conditions.MinLeadScore++
	if store.ConfigHash(a) == store.ConfigHash(b) {
		t.Error("two workflows have one hash")
	}
}
