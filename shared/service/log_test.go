package service_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"ingestion.internal/shared/service"
	"ingestion.internal/shared/telemetry/telemetrytest"
)

// TestLog keeps what the frame itself logs of a handler that panics.
func TestLog(t *testing.T) {
	log := telemetrytest.Capture(t, "svc")
	s := service.New(service.Config{MaxBodyBytes: 10}, slog.Default())
	s.Router.Method(http.MethodPost, "/fails", service.Handler(func(http.ResponseWriter, *http.Request) error { return errors.New("away") }))
	s.Router.Post("/panics", func(http.ResponseWriter, *http.Request) { panic("at the disco") })
	for _, path := range []string{"/fails", "/panics"} {
		rec := httptest.NewRecorder()
		s.Router.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, nil))
		if rec.Code != http.StatusInternalServerError {
			t.Errorf("%s: status %d, want 500", path, rec.Code)
		}
	}
	service.Stopped(context.Background(), slog.Default(), errors.New("the job failed"))
	log.Golden()
}
