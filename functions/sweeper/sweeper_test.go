package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/gcp"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/wirefake"
)

// TestSweep: what has no task gets one, in its own queue, and the scheduler is
// told if that failed.
func TestSweep(t *testing.T) {
	wirefake.Credentials(t)
	google := wirefake.New(t, nil)
	var later atomic.Bool
	db := storetest.Open(t, store.WithClock(func() time.Time {
		if later.Load() {
			return time.Now().Add(2 * time.Minute)
		}
		return time.Now()
	}))
	for call, stage := range map[string]topology.Stage{"C1": topology.AudioProcessing, "C2": topology.AIAnalysis} {
		id := store.RequestID(storetest.Acme, store.SourceCallRail, call)
		if _, err := storetest.Accept(t.Context(), db.Tenant(storetest.Acme), store.Request{RequestID: id, Source: store.SourceCallRail, CallID: call}, stage); err != nil {
			t.Fatal(err)
		}
	}
	client, err := gcp.CloudTasks(t.Context(), google.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	const queues = "projects/p/locations/l/queues/"
	enqueuer := pipeline.NewEnqueuer(client, pipeline.TasksConfig{ServiceAccount: "tasks@p.iam.gserviceaccount.com"},
		pipeline.Targets{topology.AudioProcessing.Queue(): {Queue: queues + "audio-processing", ServiceURL: "https://audio.example"},
			topology.AIAnalysis.Queue(): {Queue: queues + "ai-analysis", ServiceURL: "https://analyzer.example"}})
	s := service.New(service.Config{MaxBodyBytes: 1000}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	mount(s, pipeline.NewSweeper(db, enqueuer, 100))

	post := func() *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		s.Router.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodPost, topology.SweepPath, nil))
		return rec
	}
	want := func(sweep pipeline.Sweep) {
		t.Helper()
		rec := post()
		if rec.Code != http.StatusOK {
			t.Fatalf("status %d, want 200: %s", rec.Code, rec.Body)
		}
		var got pipeline.Sweep
		if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sweep, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
	want(pipeline.Sweep{}) // their own enqueuers have a minute
	later.Store(true)
	google.Fail(http.StatusServiceUnavailable)
	if rec := post(); rec.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", rec.Code)
	}
	google.Fail(0)
	want(pipeline.Sweep{}) // reserved, soon overdue again
	for _, stage := range []topology.Stage{topology.AudioProcessing, topology.AIAnalysis} {
		if got := len(google.Tasks(queues + string(stage))); got != 0 {
			t.Errorf("%d tasks for %s, want none", got, stage)
		}
	}
}
