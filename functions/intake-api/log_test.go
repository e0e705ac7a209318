package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/telemetry/telemetrytest"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/wirefake"
)

// TestLog keeps what the alerts on forms are made of.
func TestLog(t *testing.T) {
	log := telemetrytest.Capture(t, topology.IntakeAPI)
	wirefake.Credentials(t)
	google := wirefake.New(t, nil)
	_, storeConfig := storetest.OpenConfig(t)
	s := service.New(service.Config{MaxBodyBytes: 64 << 10}, slog.Default())
	if err := setup(t.Context(), config{
		Config:     service.Config{MaxBodyBytes: 64 << 10},
		Store:      storeConfig,
		Tasks:      pipeline.TasksConfig{Endpoint: google.URL, ServiceAccount: "tasks@p.iam.gserviceaccount.com"},
		Documents:  pipeline.Target{Queue: queue, ServiceURL: "https://documents.example"},
		AIAnalysis: pipeline.Target{Queue: queue, ServiceURL: "https://analyzer.example"},
	}, s); err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]int{
		`{"tenant_id":"acme","email":"kim@example.com"}`:   http.StatusAccepted,
		`{"tenant_id":"nobody","email":"kim@example.com"}`: http.StatusUnauthorized,
		`{"tenant_id":"acme"}`:                             http.StatusUnprocessableEntity,
	} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v1/forms", strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		s.Router.ServeHTTP(rec, req)
		if rec.Code != want {
			t.Errorf("%s: status %d, want %d", body, rec.Code, want)
		}
	}
	log.Golden()
}
