package follow

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/spanner"
	"github.com/google/go-cmp/cmp"

	"ingestion.internal/ddl"
	"ingestion.internal/shared/spannertest"
)

// steps is a Reader that has one story for each reading; the last stays.
type steps struct {
	stories []*Story
	err     error
	reads   int
}

func (s *steps) Read(ctx context.Context, _, _ string) (*Story, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if s.err != nil {
		return nil, s.err
	}
	i := min(s.reads, len(s.stories)-1)
	s.reads++
	return s.stories[i], nil
}

func TestUntil(t *testing.T) {
	t.Parallel()
	received := &Story{Status: "received", Stages: []Stage{{Name: "ai-analysis", State: "pending"}}}
	running := &Story{Status: "processing", Stages: []Stage{{Name: "ai-analysis", State: "running", Attempts: 2, Cause: "busy"}}}
	completed := &Story{Status: "completed", Stages: []Stage{{Name: "ai-analysis", State: "done"}}}
	var seen []string
	got, err := Until(t.Context(), &steps{stories: []*Story{received, received, running, completed}}, "t", "r", func(s *Story) { seen = append(seen, s.Now()) })
	if err != nil || got != completed {
		t.Fatalf("story %+v, %v", got, err)
	}
	if d := cmp.Diff([]string{"ai-analysis pending", "ai-analysis running", "completed"}, seen); d != "" {
		t.Errorf("told (-want +got):\n%s", d)
	}

	cause := errors.New("--timeout is over")
	ctx, cancel := context.WithCancelCause(t.Context())
	got, err = Until(ctx, &steps{stories: []*Story{running}}, "t", "r", func(*Story) { cancel(cause) })
	if got != running || !errors.Is(err, cause) || !strings.Contains(err.Error(), "ai-analysis running in attempt 2: busy") {
		t.Errorf("a request that hangs: %v, %v", got, err)
	}

	if _, err := Until(t.Context(), &steps{err: ErrNoRequest}, "t", "r", nil); !errors.Is(err, ErrNoRequest) {
		t.Errorf("no row: %v", err)
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	score := int64(0)
	whole := Story{Status: "completed", TranscriptStart: "hi", Intent: "quote", LeadScore: &score, Decision: "qualified"}
	if m := whole.Missing(true); m != nil {
		t.Errorf("a whole story lacks %q", m)
	}
	form := whole
	form.TranscriptStart = ""
	if m := form.Missing(false); m != nil {
		t.Errorf("a form lacks %q", m)
	}
	if m := (&Story{Status: "completed", Decision: "recorded"}).Missing(true); m != nil {
		t.Errorf("what was only recorded lacks %q", m)
	}
	if d := cmp.Diff([]string{"status completed (it is failed)", "a transcript", "an intent", "a lead score", "a decision"}, (&Story{Status: "failed"}).Missing(true)); d != "" {
		t.Error(d)
	}
}

func TestTranscriptStart(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"": "", "null": "", "[]": "", `{"text":""}`: "", "{": "",
		`{"text":" two\n lines "}`:                    "two lines",
		`{"text":"` + strings.Repeat("ä", 161) + `"}`: strings.Repeat("ä", 160) + "…",
	} {
		if got := TranscriptStart(raw); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}

// The story is read from the real schema, in the emulator.
func TestSpanner(t *testing.T) {
	t.Parallel()
	name := spannertest.New(t, ddl.Statements())
	ctx := t.Context()
	db, err := Open(ctx, os.Getenv("SPANNER_EMULATOR_HOST"), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	if _, err := db.Read(ctx, "t1", "r1"); !errors.Is(err, ErrNoRequest) {
		t.Fatalf("no row yet: %v", err)
	}

	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	_, err = db.client.Apply(ctx, []*spanner.Mutation{
		spanner.InsertMap("tenants", map[string]any{"tenant_id": "t1", "status": "active"}),
		spanner.InsertMap("tenants", map[string]any{"tenant_id": "t0", "status": "inactive"}),
		spanner.InsertMap("offices", map[string]any{"tenant_id": "t1", "office_id": "b", "status": "active", "callrail_company_id": "7", "callrail_signing_key": "k"}),
		spanner.InsertMap("offices", map[string]any{"tenant_id": "t1", "office_id": "a", "status": "active", "name": "A"}),
		spanner.InsertMap("offices", map[string]any{"tenant_id": "t1", "office_id": "gone", "status": "inactive"}),
		spanner.InsertMap("requests", map[string]any{
			"tenant_id": "t1", "request_id": "r1", "status": "dead_letter",
			"transcription_data": spanner.NullJSON{Value: map[string]any{"text": "hello there"}, Valid: true},
			"ai_analysis": spanner.NullJSON{Value: map[string]any{"intent": "quote_request", "project_type": "kitchen", "urgency": "high", "communication": map[string]any{"type": "enquiry"},
				"next_step": map[string]any{"action": "call_back", "detail": "Ask when."}, "model": "m", "model_fallback": "old", "prompt_version": "call.v2",
				"tokens": map[string]any{"input": 1500, "output": 300}, "cost_usd_micros": 1200}, Valid: true},
			"lead_score": 85, "spam_likelihood": 5.0, "decision": "qualified", "decision_reasons": []string{"one", "two"},
			"failure_stage": "workflow", "failure_cause": "CRM down", "created_at": at,
		}),
		spanner.InsertMap("request_stages", map[string]any{
			"tenant_id": "t1", "request_id": "r1", "stage": "workflow", "state": "dead_letter", "attempts": 5, "cause": "CRM down",
			"created_at": at.Add(2 * time.Second), "finished_at": at.Add(3500 * time.Millisecond),
		}),
		spanner.InsertMap("request_stages", map[string]any{
			"tenant_id": "t1", "request_id": "r1", "stage": "ai-analysis", "state": "done", "attempts": 1,
			"created_at": at, "started_at": at.Add(time.Second), "finished_at": at.Add(2 * time.Second),
		}),
	})
	if err != nil {
		t.Fatal(err)
	}

	got, err := db.Read(ctx, "t1", "r1")
	if err != nil {
		t.Fatal(err)
	}
	score, spam := int64(85), 5.0
	want := &Story{
		RequestID: "r1", TenantID: "t1", Status: "dead_letter", TranscriptStart: "hello there",
		Communication: "enquiry", NextStep: "call_back: Ask when.", AnalysedBy: "m, prompt call.v2, 1500 tokens in, 300 out, $0.0012; old is not available",
		Intent: "quote_request", ProjectType: "kitchen", Urgency: "high", LeadScore: &score, SpamLikelihood: &spam,
		Decision: "qualified", DecisionReasons: []string{"one", "two"}, FailureStage: "workflow", FailureCause: "CRM down",
		Created: at, Seconds: 3.5,
		Stages: []Stage{
			{Name: "ai-analysis", State: "done", Attempts: 1, Created: at, Started: at.Add(time.Second), Finished: at.Add(2 * time.Second), Seconds: 2},
			{Name: "workflow", State: "dead_letter", Attempts: 5, Cause: "CRM down", Created: at.Add(2 * time.Second), Finished: at.Add(3500 * time.Millisecond), Seconds: 1.5},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("story (-want +got):\n%s", d)
	}
	if !got.Ended() {
		t.Error("a dead letter has ended")
	}

	offices, err := db.Offices(ctx, "t1")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Office{{OfficeID: "a", Name: "A"}, {OfficeID: "b", CompanyID: "7", SigningKeySecret: "k"}}, offices); d != "" {
		t.Errorf("offices (-want +got):\n%s", d)
	}
	tenants, err := db.Tenants(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"t1"}, tenants); d != "" {
		t.Errorf("tenants (-want +got):\n%s", d)
	}
}
