package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingestion.internal/shared/service"
)

var environ = []string{
	"GOOGLE_CLOUD_PROJECT=p", "PORT=0",
	"SPANNER_INSTANCE=i", "SPANNER_DATABASE=d", "SPANNER_EMULATOR_HOST=127.0.0.1:1",
	"TENANT_CACHE_TTL=1m", "STAGE_MAX_ATTEMPTS=5", "STAGE_LEASE=15m",
	"CLOUD_TASKS_SERVICE_ACCOUNT=tasks@p.iam.gserviceaccount.com", "CLOUD_TASKS_ENDPOINT=http://127.0.0.1:1",
	"AI_ANALYSIS_QUEUE=projects/p/locations/l/queues/ai-analysis", "AI_ANALYSIS_URL=http://127.0.0.1:1",
	"SECRET_MANAGER_ENDPOINT=http://127.0.0.1:1", "STORAGE_ENDPOINT=http://127.0.0.1:1", "SPEECH_ENDPOINT=http://127.0.0.1:1",
	"AUDIO_STORAGE_BUCKET=audio", "DOCUMENT_STORAGE_BUCKET=documents", "SPEECH_TO_TEXT_PROJECT=p",
	"CALLRAIL_API_URL=http://127.0.0.1:1", "CALLRAIL_RECORDING_HOSTS=127.0.0.1:1,*.callrail.com",
}

// TestServes starts the service with the environment of the catalogue, with
// none of what it depends on there yet: it is alive, and has the stage's route.
func TestServes(t *testing.T) {
	credentials := filepath.Join(t.TempDir(), "credentials.json")
	if err := os.WriteFile(credentials, []byte(`{"type":"authorized_user","client_id":"c","client_secret":"s","refresh_token":"r"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", credentials)
	t.Setenv("SPANNER_EMULATOR_HOST", "127.0.0.1:1")
	logs, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		err := service.Run(ctx, "audio-processor", environ, w, setup)
		w.Close()
		ended <- err
	}()
	var address string
	lines := bufio.NewScanner(logs)
	for address == "" && lines.Scan() {
		var line struct{ Message, Address string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Message == "listening" {
			address = line.Address
		}
	}
	go func() { _, _ = io.Copy(io.Discard, logs) }()
	if address == "" {
		t.Fatalf("not listening: %v", <-ended)
	}
	port := address[strings.LastIndex(address, ":"):]
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/tasks/audio-processing": http.StatusMethodNotAllowed, "/tasks/workflow": http.StatusNotFound} {
		resp, err := http.Get("http://127.0.0.1" + port + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("GET %s answered %d, want %d", path, resp.StatusCode, want)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

// TestConfigErrors: every mistake is named at once.
func TestConfigErrors(t *testing.T) {
	err := service.Run(t.Context(), "audio-processor", []string{"GOOGLE_CLOUD_PROJECT=p", "MAX_RECORDING_BYTES=many"}, io.Discard, setup)
	if err == nil {
		t.Fatal("started without its configuration")
	}
	for _, name := range []string{"AUDIO_STORAGE_BUCKET", "SPEECH_TO_TEXT_PROJECT", "STAGE_LEASE", "AI_ANALYSIS_QUEUE", "SPANNER_DATABASE", "MAX_RECORDING_BYTES"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not mentioned:\n%v", name, err)
		}
	}
}
