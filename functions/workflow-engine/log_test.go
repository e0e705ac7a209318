package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"ingestion.internal/shared/logging"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/telemetry"
	"ingestion.internal/shared/telemetry/telemetrytest"
	"ingestion.internal/shared/topology"
)

// flaky is a worker that fails as often as it is told to.
type flaky struct {
	pipeline.Worker
	failures int
}

func (f *flaky) Work(ctx context.Context, job pipeline.Job) (pipeline.Outcome, error) {
	if f.failures > 0 {
		f.failures--
		return pipeline.Outcome{}, errors.New("not now")
	}
	return f.Worker.Work(ctx, job)
}

// TestLog keeps what a stage logs of its attempts and decisions: one that
// fails, one that completes its request, and one that runs out of attempts.
func TestLog(t *testing.T) {
	log := telemetrytest.Capture(t, topology.WorkflowEngine)
	db := storetest.Open(t)
	away := &flaky{Worker: &worker{batchEvery: time.Minute, now: time.Now}, failures: 1}
	s := service.New(service.Config{MaxBodyBytes: 1 << 20}, slog.Default())
	pipeline.NewRunner(db, away, nil, pipeline.StageConfig{MaxAttempts: 2, Lease: time.Minute}).Mount(s.Router)
	post := func(id string) {
		s.Router.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, topology.Workflow.Path(),
			strings.NewReader(`{"tenant_id":"acme","request_id":"`+id+`"}`)))
	}
	for _, key := range []string{"completes", "dies"} {
		id := store.RequestID(storetest.Acme, store.SourceForm, key)
		if _, err := storetest.Accept(t.Context(), db.Tenant(storetest.Acme), store.Request{RequestID: id, Source: store.SourceForm,
			CommunicationMode: store.ModeForm, Payload: []byte(`{}`)}, topology.Workflow); err != nil {
			t.Fatal(err)
		}
		post(id)
		if key == "completes" {
			post(id)
			away.failures = 2
			continue
		}
		post(id)
	}
	post("00000000-0000-0000-0000-000000000001") // nobody's
	// What an analysis before it would have left.
	job := pipeline.Job{Request: &store.Request{CommunicationMode: store.ModeForm, SpamLikelihood: ptr(80.0)}, Office: &store.Office{Workflow: area(t)}}
	ctx := logging.With(logging.WithTenant(t.Context(), storetest.Acme), slog.String(telemetry.Channel, job.Request.CommunicationMode))
	if _, err := (&worker{batchEvery: time.Minute, now: time.Now}).Work(ctx, job); err != nil {
		t.Fatal(err)
	}
	log.Golden()
}
