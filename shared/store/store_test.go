package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/spanner"
	database "cloud.google.com/go/spanner/admin/database/apiv1"
	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ingestion.internal/ddl"
	"ingestion.internal/shared/spannertest"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/tenant"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/workflow"
)

const (
	lease       = time.Minute
	maxAttempts = 3
)

// clock is a settable time.Now.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

func call(tenantID, callID string) store.Request {
	return store.Request{
		RequestID:         store.RequestID(tenantID, store.SourceCallRail, callID),
		OfficeID:          "",
		Source:            store.SourceCallRail,
		CommunicationMode: store.ModePhoneCall,
		CallID:            callID,
		RecordingURL:      "https://example.com/r",
		CustomerPhone:     "+15551234567",
		Payload:           json.RawMessage(`{"call_id":"` + callID + `"}`),
	}
}

// accept makes a request whose audio stage is pending and returns its id.
func accept(t *testing.T, db *store.DB, tenantID, callID string) string {
	t.Helper()
	acc, err := storetest.Accept(t.Context(), db.Tenant(tenantID), call(tenantID, callID), topology.AudioProcessing)
	if err != nil {
		t.Fatal(err)
	}
	return acc.RequestID
}

func claim(t *testing.T, h *store.Tenant, requestID string, stage topology.Stage, want store.ClaimState) *store.Claim {
	t.Helper()
	c, err := h.Claim(t.Context(), requestID, stage, lease, maxAttempts)
	if err != nil {
		t.Fatal(err)
	}
	if c.State != want {
		t.Fatalf("claim %s: state %d, want %d", stage, c.State, want)
	}
	return c
}

func status(t *testing.T, h *store.Tenant, requestID string) store.Status {
	t.Helper()
	r, err := h.Request(t.Context(), requestID)
	if err != nil {
		t.Fatal(err)
	}
	return r.Status
}

func stages(t *testing.T, h *store.Tenant, requestID string) []store.StageStatus {
	t.Helper()
	s, err := h.Stages(t.Context(), requestID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var ignoreTimes = cmpopts.IgnoreTypes(time.Time{})

func TestAcceptAndDuplicate(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	h := db.Tenant(storetest.Acme)
	req := call(storetest.Acme, "CAL1")
	req.OfficeID, req.CustomerName = "north", strings.Repeat("é", 300)
	// A number that JSON columns refuse, text that looks hostile, and NUL.
	req.Payload = json.RawMessage(`{"n":1.2345678901234567890123,"big":123456789012345678901234567890,"s":"\u0000'; DROP","i":766970532}`)

	got, err := storetest.Accept(t.Context(), h, req, topology.AudioProcessing)
	if err != nil {
		t.Fatal(err)
	}
	want := store.Acceptance{RequestID: req.RequestID, Status: store.StatusReceived, Unsent: []store.Step{{Stage: topology.AudioProcessing}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("first (-want +got)\n%s", diff)
	}
	stored, err := h.Request(t.Context(), req.RequestID)
	if err != nil {
		t.Fatal(err)
	}
	if len([]rune(stored.CustomerName)) != 200 || stored.OfficeID != "north" || stored.ReceivedAt.IsZero() {
		t.Errorf("stored: %+v", stored)
	}
	var payload map[string]any
	if err := json.Unmarshal(stored.Payload, &payload); err != nil {
		t.Fatal(err)
	}
	wantPayload := map[string]any{
		"n": "1.2345678901234567890123", "big": "123456789012345678901234567890", "s": "\x00'; DROP", "i": 766970532.0,
	}
	if diff := cmp.Diff(wantPayload, payload); diff != "" {
		t.Errorf("payload (-want +got)\n%s", diff)
	}

	hostile := call(storetest.Acme, "CAL2")
	hostile.CustomerName, hostile.CustomerPhone = "Kim\r\nBcc: x@example.com\x00\u202e\tLee ", "310\n555"
	acc, err := storetest.Accept(t.Context(), h, hostile, topology.AudioProcessing)
	if err != nil {
		t.Fatal(err)
	}
	if stored, err = h.Request(t.Context(), acc.RequestID); err != nil || stored.CustomerName != "Kim Bcc: x@example.com Lee" || stored.CustomerPhone != "310 555" {
		t.Errorf("columns of one line: %q, %q, %v", stored.CustomerName, stored.CustomerPhone, err)
	}
	if stored, err = h.Request(t.Context(), req.RequestID); err != nil {
		t.Fatal(err)
	}

	req.CustomerName = "Another"
	got, err = storetest.Accept(t.Context(), h, req, topology.AudioProcessing)
	if err != nil {
		t.Fatal(err)
	}
	want.Duplicate = true
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("duplicate before it was enqueued (-want +got)\n%s", diff)
	}
	if err := h.MarkEnqueued(t.Context(), req.RequestID, store.Step{Stage: topology.AudioProcessing}); err != nil {
		t.Fatal(err)
	}
	got, err = storetest.Accept(t.Context(), h, req, topology.AudioProcessing)
	if err != nil {
		t.Fatal(err)
	}
	want.Unsent = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("duplicate after it was enqueued (-want +got)\n%s", diff)
	}
	if r, err := h.Request(t.Context(), req.RequestID); err != nil || r.CustomerName != stored.CustomerName {
		t.Errorf("a duplicate changed the request: %+v, %v", r, err)
	}
}

func TestConcurrentDuplicatesMakeOneRequest(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	var fresh atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			acc, err := storetest.Accept(t.Context(), db.Tenant(storetest.Acme), call(storetest.Acme, "CAL1"), topology.AudioProcessing)
			if err != nil {
				t.Error(err)
			}
			if !acc.Duplicate {
				fresh.Add(1)
			}
		})
	}
	wg.Wait()
	if fresh.Load() != 1 {
		t.Errorf("%d deliveries were new, want 1", fresh.Load())
	}
}

func TestConcurrentClaimsHaveOneWinner(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	id := accept(t, db, storetest.Acme, "CAL1")
	var won, busy atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			c, err := db.Tenant(storetest.Acme).Claim(t.Context(), id, topology.AudioProcessing, lease, maxAttempts)
			switch {
			case err != nil:
				t.Error(err)
			case c.State == store.Claimed:
				won.Add(1)
			case c.State == store.Busy:
				busy.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || busy.Load() != 3 {
		t.Errorf("%d won and %d found it busy, want 1 and 3", won.Load(), busy.Load())
	}
}

func TestWholeWay(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	h := db.Tenant(storetest.Acme)
	id := accept(t, db, storetest.Acme, "CAL1")
	c := claim(t, h, id, topology.AudioProcessing, store.Claimed)
	if c.Attempt != 1 || c.Request.CallID != "CAL1" || c.Office.OfficeID != "north" || c.Office.Workflow.Validation.SpamDetection.ConfidenceThreshold != 75 {
		t.Errorf("claim: %+v, office %+v", c, c.Office)
	}
	if s := status(t, h, id); s != store.StatusProcessing {
		t.Errorf("status %s while processing", s)
	}
	name := "Kim"
	recording := store.Recording{
		RecordingID: store.RecordingID(storetest.Acme, "CAL1"), CallID: "CAL1", StorageURL: "gs://b/acme/CAL1.wav",
		ContentType: "audio/wav", SizeBytes: 9, SHA256: "ab", DurationSeconds: 13, TranscriptionStatus: "completed",
	}
	_, err := h.Finish(t.Context(), c, store.Outcome{Update: store.RequestUpdate{CustomerName: &name, Transcription: json.RawMessage(`{"text":"hello"}`)}, Recording: &recording, Next: topology.AIAnalysis})
	if err != nil {
		t.Fatal(err)
	}
	recordings, err := h.Recordings(t.Context(), "CAL1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]store.Recording{recording}, recordings); diff != "" {
		t.Errorf("recordings (-want +got)\n%s", diff)
	}
	// The task comes back before the next was enqueued.
	if done := claim(t, h, id, topology.AudioProcessing, store.Done); !cmp.Equal(done.Unsent, []store.Step{{Stage: topology.AIAnalysis}}) {
		t.Errorf("unsent %v", done.Unsent)
	}
	if _, err := h.Finish(t.Context(), c, store.Outcome{Next: topology.AIAnalysis}); !errors.Is(err, store.ErrLostClaim) {
		t.Errorf("second finish: %v, want ErrLostClaim", err)
	}

	c = claim(t, h, id, topology.AIAnalysis, store.Claimed)
	score, spam := int64(85), 5.5
	if _, err := h.Finish(t.Context(), c, store.Outcome{Update: store.RequestUpdate{Analysis: json.RawMessage(`{"intent":"quote"}`), LeadScore: &score, SpamLikelihood: &spam}, Next: topology.Workflow}); err != nil {
		t.Fatal(err)
	}
	c = claim(t, h, id, topology.Workflow, store.Claimed)
	decision := "qualified"
	if _, err := h.Finish(t.Context(), c, store.Outcome{Update: store.RequestUpdate{Decision: &decision, DecisionReasons: []string{"in area"}}}); err != nil {
		t.Fatal(err)
	}

	got, err := h.Request(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	want := call(storetest.Acme, "CAL1")
	want.TenantID, want.Status, want.CustomerName = storetest.Acme, store.StatusCompleted, name
	want.Transcription, want.Analysis = json.RawMessage(`{"text":"hello"}`), json.RawMessage(`{"intent":"quote"}`)
	want.LeadScore, want.SpamLikelihood, want.Decision, want.DecisionReasons = &score, &spam, decision, []string{"in area"}
	if diff := cmp.Diff(&want, got, ignoreTimes); diff != "" {
		t.Errorf("request (-want +got)\n%s", diff)
	}
	wantStages := []store.StageStatus{
		{Stage: topology.AudioProcessing, State: "done", Attempts: 1},
		{Stage: topology.AIAnalysis, State: "done", Attempts: 1},
		{Stage: topology.Workflow, State: "done", Attempts: 1},
	}
	if diff := cmp.Diff(wantStages, stages(t, h, id), ignoreTimes); diff != "" {
		t.Errorf("stages (-want +got)\n%s", diff)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	clk := &clock{}
	db := storetest.Open(t, store.WithClock(clk.now))
	h := db.Tenant(storetest.Acme)
	fail := func(t *testing.T, c *store.Claim, permanent bool, want string) {
		t.Helper()
		got, err := h.Fail(t.Context(), c, "no answer", permanent, maxAttempts)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("state %s, want %s", got, want)
		}
	}
	wantFailed := func(t *testing.T, id string, want store.Status, cause string) {
		t.Helper()
		r, err := h.Request(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if r.Status != want || r.FailureStage != topology.AudioProcessing || r.FailureCause != cause {
			t.Errorf("status %s, stage %s, cause %q; want %s with %q", r.Status, r.FailureStage, r.FailureCause, want, cause)
		}
		claim(t, h, id, topology.AudioProcessing, store.Dead)
	}

	t.Run("retried_until_dead_letter", func(t *testing.T) {
		id := accept(t, db, storetest.Acme, "F1")
		for range maxAttempts - 1 {
			fail(t, claim(t, h, id, topology.AudioProcessing, store.Claimed), false, store.StatePending)
			if s := status(t, h, id); s != store.StatusProcessing {
				t.Errorf("status %s between attempts", s)
			}
		}
		if s := stages(t, h, id)[0]; s.Cause != "no answer" || s.Attempts != maxAttempts-1 {
			t.Errorf("between attempts: %+v", s)
		}
		fail(t, claim(t, h, id, topology.AudioProcessing, store.Claimed), false, store.StateDeadLetter)
		wantFailed(t, id, store.StatusDeadLetter, "no answer")
	})
	t.Run("permanent", func(t *testing.T) {
		id := accept(t, db, storetest.Acme, "F2")
		fail(t, claim(t, h, id, topology.AudioProcessing, store.Claimed), true, store.StateFailed)
		wantFailed(t, id, store.StatusFailed, "no answer")
	})
	t.Run("long_cause", func(t *testing.T) {
		id := accept(t, db, storetest.Acme, "F3")
		c := claim(t, h, id, topology.AudioProcessing, store.Claimed)
		if _, err := h.Fail(t.Context(), c, strings.Repeat("ü", 5000)+"\xff", true, maxAttempts); err != nil {
			t.Fatal(err)
		}
		wantFailed(t, id, store.StatusFailed, strings.Repeat("ü", 1024))
	})
	t.Run("crash_between_claim_and_finish", func(t *testing.T) {
		id := accept(t, db, storetest.Acme, "F4")
		lost := claim(t, h, id, topology.AudioProcessing, store.Claimed)
		claim(t, h, id, topology.AudioProcessing, store.Busy)
		clk.advance(lease + time.Second)
		taken := claim(t, h, id, topology.AudioProcessing, store.Claimed)
		if taken.Attempt != 2 {
			t.Errorf("attempt %d, want 2", taken.Attempt)
		}
		if _, err := h.Finish(t.Context(), lost, store.Outcome{Next: topology.AIAnalysis}); !errors.Is(err, store.ErrLostClaim) {
			t.Errorf("finish of the lost claim: %v", err)
		}
		if _, err := h.Fail(t.Context(), lost, "late", true, maxAttempts); !errors.Is(err, store.ErrLostClaim) {
			t.Errorf("failure of the lost claim: %v", err)
		}
		if _, err := h.Finish(t.Context(), taken, store.Outcome{Next: topology.AIAnalysis}); err != nil {
			t.Errorf("finish of the live claim: %v", err)
		}
	})
	t.Run("crash_in_every_attempt", func(t *testing.T) {
		id := accept(t, db, storetest.Acme, "F5")
		for range maxAttempts {
			claim(t, h, id, topology.AudioProcessing, store.Claimed)
			clk.advance(lease + time.Second)
		}
		claim(t, h, id, topology.AudioProcessing, store.Exhausted)
		wantFailed(t, id, store.StatusDeadLetter, "attempt 3 did not end within its lease")
	})
	t.Run("office_gone", func(t *testing.T) {
		req := call(storetest.Acme, "F7")
		req.OfficeID = "removed"
		if _, err := storetest.Accept(t.Context(), h, req, topology.AudioProcessing); err != nil {
			t.Fatal(err)
		}
		claim(t, h, req.RequestID, topology.AudioProcessing, store.Dead)
		wantFailed(t, req.RequestID, store.StatusFailed, `office "removed": not found`)
	})
	t.Run("late_finish_without_rival", func(t *testing.T) {
		id := accept(t, db, storetest.Acme, "F6")
		c := claim(t, h, id, topology.AudioProcessing, store.Claimed)
		clk.advance(lease + time.Second)
		if _, err := h.Finish(t.Context(), c, store.Outcome{}); err != nil {
			t.Error(err)
		}
		if s := status(t, h, id); s != store.StatusCompleted {
			t.Errorf("status %s", s)
		}
	})
}

// A handle of one tenant must neither see nor change another's rows, whichever
// method is used, even with the other's ids.
func TestIsolation(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	victim, attacker := db.Tenant(storetest.Acme), db.Tenant(storetest.Bolt)
	id := accept(t, db, storetest.Acme, "CAL1")
	c := claim(t, victim, id, topology.AudioProcessing, store.Claimed)
	stolen := "stolen"
	update := store.RequestUpdate{CustomerName: &stolen}

	snapshot := func() (any, any, any) {
		r, err := victim.Request(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		recordings, err := victim.Recordings(t.Context(), "CAL1")
		if err != nil {
			t.Fatal(err)
		}
		return r, stages(t, victim, id), recordings
	}
	if _, err := victim.Finish(t.Context(), c, store.Outcome{Recording: &store.Recording{RecordingID: "r", CallID: "CAL1", StorageURL: "gs://a"}, Next: topology.AIAnalysis}); err != nil {
		t.Fatal(err)
	}
	c2 := claim(t, victim, id, topology.AIAnalysis, store.Claimed)
	wantRequest, wantStages, wantRecordings := snapshot()

	methods := map[string]func(ctx context.Context) error{
		"Request": func(ctx context.Context) error { _, err := attacker.Request(ctx, id); return err },
		"MarkEnqueued": func(ctx context.Context) error {
			return attacker.MarkEnqueued(ctx, id, store.Step{Stage: topology.AIAnalysis})
		},
		"Claim": func(ctx context.Context) error {
			_, err := attacker.Claim(ctx, id, topology.AIAnalysis, lease, maxAttempts)
			return err
		},
		"Finish": func(ctx context.Context) error {
			_, err := attacker.Finish(ctx, c2, store.Outcome{Update: update})
			return err
		},
		"Fail": func(ctx context.Context) error {
			_, err := attacker.Fail(ctx, c2, "x", true, maxAttempts)
			return err
		},
		"Stages": func(ctx context.Context) error {
			s, err := attacker.Stages(ctx, id)
			if err == nil && len(s) == 0 {
				return store.ErrNotFound
			}
			return err
		},
		"Unsent": func(ctx context.Context) error {
			s, err := attacker.Unsent(ctx, id)
			if err == nil && len(s) == 0 {
				return store.ErrNotFound
			}
			return err
		},
		"Recordings": func(ctx context.Context) error {
			r, err := attacker.Recordings(ctx, "CAL1")
			if err == nil && len(r) == 0 {
				return store.ErrNotFound
			}
			return err
		},
		"Accept_of_another_tenant": func(ctx context.Context) error {
			req := call(storetest.Acme, "CAL1")
			req.TenantID = storetest.Acme
			_, err := storetest.Accept(ctx, attacker, req, topology.Workflow)
			if err != nil && strings.Contains(err.Error(), "does not belong") {
				return store.ErrNotFound
			}
			return err
		},
		"Sync_of_another_tenant": func(ctx context.Context) error {
			_, err := attacker.Sync(ctx, tenant.Tenant{ID: storetest.Acme, State: tenant.Offboarded})
			if err != nil && strings.Contains(err.Error(), "does not belong") {
				return store.ErrNotFound
			}
			return err
		},
	}
	for name, method := range methods {
		t.Run(name, func(t *testing.T) {
			if err := method(t.Context()); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("error %v, want ErrNotFound", err)
			}
		})
	}
	t.Run("Accept_of_the_same_id", func(t *testing.T) {
		req := call(storetest.Acme, "CAL1")
		acc, err := storetest.Accept(t.Context(), attacker, req, topology.AudioProcessing)
		if err != nil || acc.Duplicate {
			t.Errorf("%+v, %v: another tenant's request is no duplicate of ours", acc, err)
		}
	})
	t.Run("Deactivate", func(t *testing.T) {
		if err := attacker.Deactivate(t.Context()); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]string{storetest.Acme}, storetest.ActiveTenants(t, db)); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
	gotRequest, gotStages, gotRecordings := snapshot()
	for what, pair := range map[string][2]any{"request": {wantRequest, gotRequest}, "stages": {wantStages, gotStages}, "recordings": {wantRecordings, gotRecordings}} {
		if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
			t.Errorf("the other tenant's %s changed\n%s", what, diff)
		}
	}
}

func TestUnknownTenantCannotWrite(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	if _, err := storetest.Accept(t.Context(), db.Tenant("nobody"), call("nobody", "CAL1"), topology.AudioProcessing); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("accept: %v, want ErrNotFound", err)
	}
	if err := db.Tenant("nobody").Deactivate(t.Context()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deactivate: %v, want ErrNotFound", err)
	}
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	clk := &clock{}
	db := storetest.Open(t, store.WithClock(clk.now))
	d := db.Directory()
	tests := map[string]struct {
		company store.Company
		want    string // tenant/office, empty = not found
	}{
		"by_id":                    {store.Company{ID: "1001"}, "acme/north"},
		"by_id_and_resource":       {store.Company{ID: "1001", ResourceID: "COM1001"}, "acme/north"},
		"by_resource":              {store.Company{ResourceID: "COM1001"}, "acme/north"},
		"by_tenant_and_id":         {store.Company{TenantID: "bolt", ID: "2001"}, "bolt/main"},
		"of_another_tenant":        {store.Company{TenantID: "bolt", ID: "1001"}, ""},
		"contradicting_resource":   {store.Company{ID: "1001", ResourceID: "COM9"}, ""},
		"contradicting_id":         {store.Company{ID: "9", ResourceID: "COM1001"}, ""},
		"unknown":                  {store.Company{ID: "9"}, ""},
		"unknown_tenant":           {store.Company{TenantID: "nobody", ID: "1001"}, ""},
		"empty":                    {store.Company{}, ""},
		"tenant_without_a_company": {store.Company{TenantID: "acme"}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o, err := d.OfficeByCompany(t.Context(), tt.company)
			if tt.want == "" {
				if !errors.Is(err, store.ErrNotFound) {
					t.Errorf("%+v, %v; want ErrNotFound", o, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := o.TenantID + "/" + o.OfficeID; got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
	t.Run("bounded_age", func(t *testing.T) {
		if err := db.Tenant(storetest.Bolt).Deactivate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := d.OfficeByCompany(t.Context(), store.Company{ID: "2001"}); err != nil {
			t.Errorf("within the age: %v", err)
		}
		clk.advance(time.Minute)
		if _, err := d.OfficeByCompany(t.Context(), store.Company{ID: "2001"}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("after it: %v, want ErrNotFound", err)
		}
		if _, err := d.Offices(t.Context(), storetest.Bolt); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("offices of an inactive tenant: %v, want ErrNotFound", err)
		}
	})
	t.Run("claimed_twice", func(t *testing.T) {
		twin := storetest.Manifest().Tenants[1]
		twin.ID, twin.Offices[0].CallRailCompanyID = "twin", "1002"
		if _, err := db.Tenant("twin").Sync(t.Context(), twin); err != nil {
			t.Fatal(err)
		}
		clk.advance(time.Minute)
		if _, err := d.OfficeByCompany(t.Context(), store.Company{ID: "1002"}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%v, want ErrNotFound", err)
		}
		if o, err := d.OfficeByCompany(t.Context(), store.Company{TenantID: "twin", ID: "1002"}); err != nil || o.TenantID != "twin" {
			t.Errorf("%+v, %v", o, err)
		}
	})
}

func TestSync(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	h := db.Tenant(storetest.Acme)
	steps := []struct {
		name   string
		change func(*tenant.Tenant)
		want   store.Changes
	}{
		{"nothing", func(*tenant.Tenant) {}, nil},
		{"rename", func(a *tenant.Tenant) { a.Name = "Acme" }, store.Changes{"tenant updated"}},
		{"workflow", func(a *tenant.Tenant) {
			a.Offices[0].Workflow.ServiceArea = workflow.ServiceArea{Enabled: true, ValidationMethod: "zip_code", AllowedAreas: []string{"90210"}, BufferMiles: 2.5}
		}, store.Changes{"office north updated"}},
		{"nothing_again", func(*tenant.Tenant) {}, nil},
		{"office_gone", func(a *tenant.Tenant) { a.Offices = a.Offices[:1] }, store.Changes{"office south deactivated"}},
		{"still_gone", func(*tenant.Tenant) {}, nil},
		{"office_back", func(a *tenant.Tenant) { a.Offices = append(a.Offices, tenant.Office{ID: "south"}) }, store.Changes{"office south updated"}},
		{"offboarded", func(a *tenant.Tenant) { a.State = tenant.Offboarded }, store.Changes{"tenant updated"}},
	}
	declared := storetest.Manifest().Tenants[0]
	for _, step := range steps {
		step.change(&declared)
		got, err := h.Sync(t.Context(), declared)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", step.name, diff)
		}
	}
}

// An existing database, with its own rows and only some of the columns, is
// adopted by applying every statement, and applying them again does nothing.
func TestSchemaAdoptsAnExistingDatabase(t *testing.T) {
	t.Parallel()
	name := spannertest.New(t, []string{
		`CREATE TABLE tenants (tenant_id STRING(36) NOT NULL, name STRING(100), created_at TIMESTAMP NOT NULL) PRIMARY KEY (tenant_id)`,
		`CREATE TABLE offices (tenant_id STRING(36) NOT NULL, office_id STRING(36) NOT NULL, name STRING(100), city STRING(50))
			PRIMARY KEY (tenant_id, office_id), INTERLEAVE IN PARENT tenants ON DELETE CASCADE`,
		`CREATE TABLE requests (tenant_id STRING(36) NOT NULL, request_id STRING(36) NOT NULL, source STRING(50), recording_url STRING(500),
			created_at TIMESTAMP NOT NULL) PRIMARY KEY (tenant_id, request_id)`,
	})
	client, err := spanner.NewClient(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	created := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	if _, err := client.Apply(t.Context(), []*spanner.Mutation{
		spanner.Insert("tenants", []string{"tenant_id", "name", "created_at"}, []any{"old", "Old Tenant", created}),
		spanner.Insert("offices", []string{"tenant_id", "office_id", "name", "city"}, []any{"old", "o1", "Old Office", "Rochester"}),
		spanner.Insert("requests", []string{"tenant_id", "request_id", "source", "recording_url", "created_at"}, []any{"old", "r1", "phone", "https://x", created}),
	}); err != nil {
		t.Fatal(err)
	}
	admin, err := database.NewDatabaseAdminClient(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	statements := slices.DeleteFunc(ddl.Statements(), ddl.AccessControl)
	for range 2 {
		op, err := admin.UpdateDatabaseDdl(t.Context(), &databasepb.UpdateDatabaseDdlRequest{Database: name, Statements: statements})
		if err == nil {
			err = op.Wait(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		// A stream, unlike the rest, can only be made once.
		statements = slices.DeleteFunc(statements, func(s string) bool { return strings.HasPrefix(s, "CREATE CHANGE STREAM") })
	}

	db, err := store.Open(t.Context(), storetest.ConfigOf(name))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tenants, err := db.Directory().Tenants(t.Context())
	if diff := cmp.Diff([]store.TenantRow{{ID: "old", Status: "active"}}, tenants); diff != "" || err != nil {
		t.Errorf("tenants: %v (-want +got)\n%s", err, diff)
	}
	offices, err := db.Directory().Offices(t.Context(), "old")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]store.Office{{TenantID: "old", OfficeID: "o1", Name: "Old Office", Workflow: workflow.Default()}}, offices); diff != "" {
		t.Errorf("offices (-want +got)\n%s", diff)
	}
	r, err := db.Tenant("old").Request(t.Context(), "r1")
	if err != nil {
		t.Fatal(err)
	}
	if r.Source != "phone" || r.RecordingURL != "https://x" || r.Status != store.StatusReceived || !r.ReceivedAt.Equal(created) {
		t.Errorf("request: %+v", r)
	}
	// And it works on: the old tenant's next call goes its way.
	id := accept(t, db, "old", "CAL1")
	c := claim(t, db.Tenant("old"), id, topology.AudioProcessing, store.Claimed)
	if _, err := db.Tenant("old").Finish(t.Context(), c, store.Outcome{}); err != nil {
		t.Error(err)
	}
}
