package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"github.com/google/go-cmp/cmp"

	"net/http/httptest"

	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/tenant"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/wirefake"
)

func TestTenantSync(t *testing.T) {
	wirefake.Credentials(t)
	objects, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(objects.Stop)
	objects.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "config"})
	// The job must present its identity to Cloud Storage too.
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+wirefake.Token {
			http.Error(w, "unauthenticated", http.StatusUnauthorized)
			return
		}
		objects.HTTPHandler().ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	cfg := storetest.Config(t)
	db, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })

	// sync runs the job as Cloud Run would and returns its log.
	sync := func(manifest any) (string, error) {
		text, err := json.Marshal(manifest)
		if err != nil {
			t.Fatal(err)
		}
		objects.CreateObject(fakestorage.Object{ObjectAttrs: fakestorage.ObjectAttrs{BucketName: "config", Name: "tenants.json"}, Content: text})
		var logs bytes.Buffer
		err = service.RunJob(t.Context(), topology.TenantSync, []string{
			"GOOGLE_CLOUD_PROJECT=" + cfg.Project, "SPANNER_INSTANCE=" + cfg.Instance, "SPANNER_DATABASE=" + cfg.Database,
			"STORAGE_ENDPOINT=" + front.URL, "TENANTS_MANIFEST=gs://config/tenants.json",
		}, &logs, run)
		return logs.String(), err
	}
	want := func(wantActive ...string) {
		t.Helper()
		active := storetest.ActiveTenants(t, db)
		if diff := cmp.Diff(wantActive, active); diff != "" {
			t.Errorf("active tenants (-want +got)\n%s", diff)
		}
	}
	wantLog := func(logs string, err error, parts ...string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range parts {
			if !strings.Contains(logs, part) {
				t.Errorf("the log lacks %s:\n%s", part, logs)
			}
		}
	}

	manifest := storetest.Manifest()
	logs, err := sync(manifest)
	wantLog(logs, err, `"message":"tenant added"`, `"message":"office north added"`, `"tenant":"bolt"`, `"changes":5`)
	want("acme", "bolt")
	logs, err = sync(manifest)
	wantLog(logs, err, `"changes":0`)

	request := store.Request{RequestID: store.RequestID("bolt", store.SourceForm, "1"), Source: store.SourceForm}
	if _, err := storetest.Accept(t.Context(), db.Tenant("bolt"), request, topology.AIAnalysis); err != nil {
		t.Fatal(err)
	}
	without := tenant.Manifest{Protect: true, Tenants: manifest.Tenants[:1]}
	if _, err = sync(without); err == nil || !strings.Contains(err.Error(), "tenant bolt is active") || !strings.Contains(err.Error(), "state: offboarded") {
		t.Errorf("an active tenant vanished from a manifest that protects it: %v", err)
	}
	want("acme", "bolt")
	offboarded := storetest.Manifest()
	offboarded.Protect, offboarded.Tenants[1].State = true, tenant.Offboarded
	logs, err = sync(offboarded)
	wantLog(logs, err, "tenant updated", `"changes":1`)
	want("acme")
	logs, err = sync(without)
	wantLog(logs, err, "tenant deactivated", `"changes":1`)
	want("acme")
	logs, err = sync(without)
	wantLog(logs, err, `"changes":0`)
	if _, err := db.Tenant("bolt").Request(t.Context(), request.RequestID); err != nil {
		t.Errorf("data of a tenant that left: %v", err)
	}
	logs, err = sync(manifest)
	wantLog(logs, err, `"changes":1`)
	want("acme", "bolt")
	// A disposable stack's manifest takes it at once.
	logs, err = sync(tenant.Manifest{Tenants: manifest.Tenants[:1]})
	wantLog(logs, err, "tenant deactivated", `"changes":1`)
	want("acme")
	logs, err = sync(manifest)
	wantLog(logs, err, `"changes":1`)
	want("acme", "bolt")

	// A manifest with mistakes changes nothing.
	for name, broken := range map[string]any{
		"no_tenants":     map[string]any{},
		"unknown_fields": map[string]any{"tenants": []any{}, "x": 1},
		"bad_tenants":    tenant.Manifest{Tenants: []tenant.Tenant{{ID: "Bad!", State: "active"}, {ID: "acme", State: "odd"}}},
	} {
		if _, err := sync(broken); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	want("acme", "bolt")
}

func TestConfigIsReportedWhole(t *testing.T) {
	err := service.RunJob(t.Context(), topology.TenantSync, []string{"LOG_LEVEL=loud", "SPANNER_INSTANCE="}, &bytes.Buffer{}, run)
	want := strings.Join([]string{
		"configuration: GOOGLE_CLOUD_PROJECT is not set", "LOG_LEVEL is not a slog.Level", "SPANNER_DATABASE is not set",
		"SPANNER_INSTANCE is empty", "TENANTS_MANIFEST is not set",
	}, "\n")
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	err = service.RunJob(t.Context(), topology.TenantSync, []string{
		"GOOGLE_CLOUD_PROJECT=p", "SPANNER_INSTANCE=i", "SPANNER_DATABASE=d", "TENANTS_MANIFEST=/etc/passwd",
	}, &bytes.Buffer{}, run)
	if err == nil || !strings.Contains(err.Error(), "gs://bucket/object") {
		t.Errorf("a manifest elsewhere: %v", err)
	}
}
