package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	database "cloud.google.com/go/spanner/admin/database/apiv1"

	"ingestion.internal/shared/gcp"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/telemetry/telemetrytest"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/wirefake"
)

// TestLog keeps what a run logs that begins the first backup, and one that may
// not.
func TestLog(t *testing.T) {
	log := telemetrytest.Capture(t, topology.Backup)
	wirefake.Credentials(t)
	api := &adminAPI{t: t, backups: map[string]map[string]any{}}
	server := httptest.NewServer(api)
	defer server.Close()
	admin, err := database.NewDatabaseAdminRESTClient(t.Context(), gcp.Options(server.URL)...)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	s := service.New(service.Config{MaxBodyBytes: 1000}, slog.Default())
	cfg := config{Config: service.Config{Project: "p"}, Instance: "i", Database: "agent_platform", Retention: 30 * 24 * time.Hour, MaxAge: 30 * time.Hour}
	mount(s, &backups{admin: admin, cfg: cfg, now: func() time.Time { return time.Date(2026, 11, 25, 3, 10, 0, 0, time.UTC) }})
	for status, want := range map[int]int{0: http.StatusOK, http.StatusForbidden: http.StatusServiceUnavailable} {
		api.refuse = status
		rec := httptest.NewRecorder()
		s.Router.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodPost, topology.BackupPath, nil))
		if rec.Code != want {
			t.Errorf("status %d, want %d: %s", rec.Code, want, rec.Body)
		}
	}
	log.Golden()
}
