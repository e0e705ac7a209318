package main

import (
	"log/slog"
	"net/http"
	"testing"

	"ingestion.internal/shared/logging"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/telemetry"
	"ingestion.internal/shared/telemetry/telemetrytest"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/workflow"
)

// TestLog keeps what is known of the model: time, tokens, cost and failures.
func TestLog(t *testing.T) {
	log := telemetrytest.Capture(t, topology.AIAnalyzer)
	w, m := newWorkerWith(t, slog.Default())
	job := pipeline.Job{Request: call(), Office: &store.Office{Workflow: workflow.Default()}}
	// As the runner calls it.
	ctx := logging.With(logging.WithTenant(t.Context(), "acme"), slog.String(telemetry.Stage, string(topology.AIAnalysis)),
		slog.String(telemetry.Channel, job.Request.CommunicationMode))
	if _, err := w.Work(ctx, job); err != nil {
		t.Fatal(err)
	}
	// A tenant's model that is retired.
	m.gone = "gemini-2.5-flash"
	job.Office.Workflow.Validation.SpamDetection.MLModel = m.gone
	if _, err := w.Work(ctx, job); err != nil {
		t.Fatal(err)
	}
	job.Office.Workflow.Validation.SpamDetection.MLModel = ""
	m.status = http.StatusTooManyRequests
	if _, err := w.Work(ctx, job); err == nil {
		t.Error("no error from a model that refuses")
	}
	log.Golden()
}
