package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"ingestion.internal/shared/gcp"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/telemetry/telemetrytest"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/wirefake"
)

// TestLog keeps what a sweep logs that mends a stage, and one that cannot.
func TestLog(t *testing.T) {
	log := telemetrytest.Capture(t, topology.Sweeper)
	wirefake.Credentials(t)
	google := wirefake.New(t, nil)
	var minutes atomic.Int64
	db := storetest.Open(t, store.WithClock(func() time.Time { return time.Now().Add(time.Duration(minutes.Load()) * time.Minute) }))
	id := store.RequestID(storetest.Acme, store.SourceCallRail, "C1")
	if _, err := storetest.Accept(t.Context(), db.Tenant(storetest.Acme), store.Request{RequestID: id, Source: store.SourceCallRail, CallID: "C1"}, topology.AIAnalysis); err != nil {
		t.Fatal(err)
	}
	client, err := gcp.CloudTasks(t.Context(), google.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	enqueuer := pipeline.NewEnqueuer(client, pipeline.TasksConfig{ServiceAccount: "tasks@p.iam.gserviceaccount.com"},
		pipeline.Targets{topology.AIAnalysis.Queue(): {Queue: "projects/p/locations/l/queues/ai-analysis", ServiceURL: "https://analyzer.example"}})
	s := service.New(service.Config{MaxBodyBytes: 1000}, slog.Default())
	mount(s, pipeline.NewSweeper(db, enqueuer, 100))
	post := func(want int) {
		t.Helper()
		rec := httptest.NewRecorder()
		s.Router.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodPost, topology.SweepPath, nil))
		if rec.Code != want {
			t.Errorf("status %d, want %d: %s", rec.Code, want, rec.Body)
		}
	}
	minutes.Store(2)
	google.Fail(http.StatusServiceUnavailable)
	post(http.StatusServiceUnavailable)
	google.Fail(0)
	minutes.Store(60)
	post(http.StatusOK)
	log.Golden()
}
