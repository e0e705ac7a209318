package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	database "cloud.google.com/go/spanner/admin/database/apiv1"

	"ingestion.internal/shared/gcp"
	"ingestion.internal/shared/logging"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/wirefake"
)

// adminAPI is Spanner's database admin API over REST, as far as backups go.
type adminAPI struct {
	t       *testing.T
	backups map[string]map[string]any // by id
	refuse  int                       // status of every answer; 0 = none is refused
}

const instancePath = "projects/p/instances/i"

func (a *adminAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := func(code int, body any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		if err := json.NewEncoder(w).Encode(body); err != nil {
			a.t.Error(err)
		}
	}
	fail := func(code int, status string) {
		answer(code, map[string]any{"error": map[string]any{"code": code, "status": status, "message": status}})
	}
	switch {
	case r.Header.Get("Authorization") != "Bearer "+wirefake.Token:
		fail(http.StatusUnauthorized, "UNAUTHENTICATED")
	case a.refuse != 0:
		fail(a.refuse, "PERMISSION_DENIED")
	case r.URL.Path != "/v1/"+instancePath+"/backups":
		fail(http.StatusNotFound, "NOT_FOUND")
	case r.Method == http.MethodPost:
		id := r.URL.Query().Get("backupId")
		if a.backups[id] != nil {
			fail(http.StatusConflict, "ALREADY_EXISTS")
			return
		}
		var made map[string]any
		if err := json.NewDecoder(r.Body).Decode(&made); err != nil {
			a.t.Error(err)
		}
		made["name"], made["state"] = instancePath+"/backups/"+id, "CREATING"
		a.backups[id] = made
		answer(http.StatusOK, map[string]any{"name": instancePath + "/backups/" + id + "/operations/1"})
	default:
		if filter := r.URL.Query().Get("filter"); filter != "database:agent_platform AND state:READY" {
			a.t.Errorf("filter %q", filter)
		}
		var list []any
		for _, b := range a.backups {
			list = append(list, b)
		}
		answer(http.StatusOK, map[string]any{"backups": list})
	}
}

// TestBackup: a run begins a backup that ends by itself, a retry meets it, and
// a line that an alert can match tells what is amiss.
func TestBackup(t *testing.T) {
	wirefake.Credentials(t)
	now := time.Date(2026, 11, 25, 3, 10, 0, 0, time.UTC)
	ready := func(database string, age time.Duration) map[string]any {
		return map[string]any{
			"name": fmt.Sprintf("%s/backups/%s_%d", instancePath, database, age), "state": "READY",
			"database": instancePath + "/databases/" + database, "createTime": now.Add(-age).Format(time.RFC3339),
		}
	}
	const own = "agent_platform_20261125_03"
	for name, tt := range map[string]struct {
		existing map[string]map[string]any
		refuse   int
		code     int
		events   []string // in order
	}{
		"the first":      {nil, 0, 200, []string{"backup.created", "backup.missing"}},
		"one of many":    {map[string]map[string]any{"a": ready("agent_platform", 24*time.Hour), "b": ready("agent_platform", 48*time.Hour)}, 0, 200, []string{"backup.created"}},
		"after a gap":    {map[string]map[string]any{"a": ready("agent_platform", 31*time.Hour)}, 0, 200, []string{"backup.created", "backup.missing"}},
		"another's only": {map[string]map[string]any{"a": ready("agent_platform2", time.Hour)}, 0, 200, []string{"backup.created", "backup.missing"}},
		"a retry": {map[string]map[string]any{own: {"name": instancePath + "/backups/" + own, "state": "CREATING", "database": instancePath + "/databases/agent_platform"},
			"a": ready("agent_platform", 24*time.Hour)}, 0, 200, []string{"backup.created"}},
		"without a grant": {nil, http.StatusForbidden, 503, []string{"backup.failed"}},
	} {
		t.Run(name, func(t *testing.T) {
			api := &adminAPI{t: t, backups: map[string]map[string]any{}, refuse: tt.refuse}
			for id, b := range tt.existing {
				api.backups[id] = b
			}
			server := httptest.NewServer(api)
			defer server.Close()
			admin, err := database.NewDatabaseAdminRESTClient(t.Context(), gcp.Options(server.URL)...)
			if err != nil {
				t.Fatal(err)
			}
			defer admin.Close()
			var logs bytes.Buffer
			s := service.New(service.Config{MaxBodyBytes: 1000}, logging.New(io.Discard, logging.Options{}))
			cfg := config{Config: service.Config{Project: "p"}, Instance: "i", Database: "agent_platform", Retention: 30 * 24 * time.Hour, MaxAge: 30 * time.Hour}
			before := slog.Default()
			slog.SetDefault(logging.New(&logs, logging.Options{}))
			t.Cleanup(func() { slog.SetDefault(before) })
			mount(s, &backups{admin: admin, cfg: cfg, now: func() time.Time { return now }})
			rec := httptest.NewRecorder()
			s.Router.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodPost, topology.BackupPath, nil))
			if rec.Code != tt.code {
				t.Errorf("status %d, want %d: %s", rec.Code, tt.code, rec.Body)
			}
			var events []string
			for line := range strings.Lines(logs.String()) {
				var l struct{ Event string }
				if err := json.Unmarshal([]byte(line), &l); err != nil {
					t.Fatal(err)
				}
				if strings.HasPrefix(l.Event, "backup.") {
					events = append(events, l.Event)
				}
			}
			if strings.Join(events, " ") != strings.Join(tt.events, " ") {
				t.Errorf("events %v, want %v", events, tt.events)
			}
			if tt.code == 200 {
				if b := api.backups[own]; b == nil {
					t.Errorf("backups %v, want one named by the hour", api.backups)
				} else if want := "2026-12-25T03:10:00Z"; tt.existing[own] == nil && b["expireTime"] != want {
					t.Errorf("expires %v, want %s", b["expireTime"], want)
				}
			}
		})
	}
}

func TestConfigIsReportedWhole(t *testing.T) {
	err := service.Run(t.Context(), topology.Backup, []string{
		"GOOGLE_CLOUD_PROJECT=p", "SPANNER_INSTANCE=i", "SPANNER_DATABASE=d", "BACKUP_RETENTION=1h", "BACKUP_MAX_AGE=0s",
	}, io.Discard, setup)
	for _, want := range []string{"BACKUP_RETENTION must be", "BACKUP_MAX_AGE must be"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q in it", err, want)
		}
	}
}
