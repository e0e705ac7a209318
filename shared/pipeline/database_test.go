package pipeline_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/topology"
)

// A task that comes while the database is away is left to the queue, and its
// stage goes on when the database is back.
func TestRunnerWithoutDatabase(t *testing.T) {
	f := newFixture(t)
	task := f.request("D1")
	body, err := json.Marshal(task)
	if err != nil {
		t.Fatal(err)
	}

	// Where the runner is to look for the database, nobody listens.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	t.Setenv("SPANNER_EMULATOR_HOST", l.Addr().String())
	away, err := store.Open(t.Context(), store.Config{Project: "p", Instance: "i", Database: "d", CacheTTL: time.Second, Emulator: l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = away.Close() })
	s := service.New(service.Config{MaxBodyBytes: 1000}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	pipeline.NewRunner(away, never(t), f.enq, f.cfg).Mount(s.Router)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // instead of the runner's own, longer one
	defer cancel()
	rec := httptest.NewRecorder()
	s.Router.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, http.MethodPost, topology.AudioProcessing.Path(), strings.NewReader(string(body))))
	if rec.Code != http.StatusServiceUnavailable || strings.Contains(rec.Body.String(), "127.0.0.1") {
		t.Errorf("status %d: %s, want 503 without the cause", rec.Code, rec.Body)
	}

	if code := f.post(task, next); code != http.StatusOK {
		t.Errorf("with the database back: status %d", code)
	}
	f.want(task, store.StatusProcessing, "",
		store.StageStatus{Stage: topology.AudioProcessing, State: "done", Attempts: 1},
		store.StageStatus{Stage: topology.AIAnalysis, State: "pending", Enqueued: true})
}
