package main

import (
	"io"
	"log/slog"
	"net/http"
	"testing"

	"ingestion.internal/shared/logging"
	"ingestion.internal/shared/telemetry"
	"ingestion.internal/shared/telemetry/telemetrytest"
	"ingestion.internal/shared/topology"
)

// TestLog keeps what the alerts on recordings and transcription are made of.
func TestLog(t *testing.T) {
	log := telemetrytest.Capture(t, topology.AudioProcessor)
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			io.WriteString(w, `{"error":{"code":503,"message":"later","status":"UNAVAILABLE"}}`)
		}
	}
	for _, change := range []func(*world){
		func(*world) {}, // a call that goes well
		func(w *world) { w.recording = status(http.StatusNotFound) },
		func(w *world) { w.recording = status(http.StatusServiceUnavailable) },
		func(w *world) { w.recognize = status(http.StatusServiceUnavailable) },
	} {
		w := newWorld(t)
		w.log = slog.Default()
		change(w)
		// As the runner calls it. How it went is in the log.
		ctx := logging.With(logging.WithTenant(t.Context(), "acme"), slog.String(telemetry.Stage, string(topology.AudioProcessing)))
		_, _ = w.Work(ctx, newJob())
	}
	// Pictures of texts: one that is kept, one that is lost, one that has to wait.
	w := newWorld(t)
	w.log = slog.Default()
	withPictures(w, map[string]http.HandlerFunc{
		"/media/a": serve(pictureOf(t, 1)), "/media/gone": refuse(http.StatusNotFound), "/media/later": refuse(http.StatusServiceUnavailable),
	})
	ctx := logging.With(logging.WithTenant(t.Context(), "acme"), slog.String(telemetry.Stage, string(topology.AudioProcessing)))
	_, _ = w.Work(ctx, textJob(t, w, "/media/a", "/media/gone", "/media/later"))
	log.Golden()
}
