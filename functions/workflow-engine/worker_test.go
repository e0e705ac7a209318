package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/fault"
	"ingestion.internal/shared/gcp"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/tenant"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/wirefake"
	"ingestion.internal/shared/workflow"
)

const requestID = "0b7d8a52-6d0a-5c5e-8f0e-0d8f4c1f4b0a"

func area(t *testing.T) workflow.Config {
	t.Helper()
	cfg, err := workflow.Merge(workflow.Default(), map[string]any{
		"service_area": map[string]any{"enabled": true, "allowed_areas": []any{"90210"}},
	}, "w")
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func ptr[T any](v T) *T { return &v }

func TestDecide(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		request store.Request
		want    workflow.Decision
	}{
		"qualified": {
			store.Request{SpamLikelihood: ptr(5.0), PostalCode: "90210", Transcription: []byte(`{"status":"completed","text":"hello"}`)},
			workflow.Decision{Outcome: workflow.Qualified, Reasons: []string{"spam likelihood 5 is below the threshold 75", "ZIP code 90210 is in the service area"}},
		},
		"form_that_is_an_application": {
			store.Request{SpamLikelihood: ptr(5.0), PostalCode: "90210", Analysis: []byte(`{"communication":{"type":"job_application"},"intent":"job_application"}`)},
			workflow.Decision{Outcome: workflow.NeedsReview, Reasons: []string{"spam likelihood 5 is below the threshold 75",
				"detected as job application: somebody applies for work", "ZIP code 90210 is in the service area"}},
		},
		"cancelled_booking": {
			store.Request{SpamLikelihood: ptr(5.0), CommunicationMode: store.ModeBooking, Payload: []byte(`{"status":"cancelled"}`)},
			workflow.Decision{Outcome: workflow.Recorded, Reasons: []string{"spam likelihood 5 is below the threshold 75", "the booking was cancelled"}},
		},
		"form_that_says_cancelled": {
			store.Request{SpamLikelihood: ptr(5.0), PostalCode: "90210", CommunicationMode: store.ModeForm, Payload: []byte(`{"status":"cancelled"}`)},
			workflow.Decision{Outcome: workflow.Qualified, Reasons: []string{"spam likelihood 5 is below the threshold 75", "ZIP code 90210 is in the service area"}},
		},
		"form_has_no_transcript": {
			store.Request{SpamLikelihood: ptr(5.0), PostalCode: "90210"},
			workflow.Decision{Outcome: workflow.Qualified, Reasons: []string{"spam likelihood 5 is below the threshold 75", "ZIP code 90210 is in the service area"}},
		},
		"recording_failed": {
			store.Request{SpamLikelihood: ptr(5.0), PostalCode: "90210", Transcription: []byte(`{"status":"failed","cause":"answered 404"}`)},
			workflow.Decision{Outcome: workflow.NeedsReview, Reasons: []string{"spam likelihood 5 is below the threshold 75",
				"ZIP code 90210 is in the service area", "analysed without the conversation: answered 404"}},
		},
		"call_without_recording": {
			store.Request{CommunicationMode: store.ModePhoneCall, SpamLikelihood: ptr(5.0), PostalCode: "90210"},
			workflow.Decision{Outcome: workflow.NeedsReview, Reasons: []string{"spam likelihood 5 is below the threshold 75",
				"ZIP code 90210 is in the service area", "analysed without the conversation: the call was not recorded"}},
		},
		"transcription_off": {
			store.Request{SpamLikelihood: ptr(5.0), PostalCode: "90210", Transcription: []byte(`{"status":"skipped"}`)},
			workflow.Decision{Outcome: workflow.Qualified, Reasons: []string{"spam likelihood 5 is below the threshold 75", "ZIP code 90210 is in the service area"}},
		},
		"model_fallback": {
			store.Request{SpamLikelihood: ptr(80.0), Analysis: []byte(`{"model":"new","model_fallback":"old"}`)},
			workflow.Decision{Outcome: workflow.Spam, Reasons: []string{"spam likelihood 80 reaches the threshold 75", "analysed with new: old is not available"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := (&worker{}).decide(t.Context(), pipeline.Job{Request: &tc.request, Office: &store.Office{Workflow: area(t)}})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}
	for _, request := range []store.Request{{Transcription: []byte(`[]`)}, {Analysis: []byte(`[]`)}} {
		if _, err := (&worker{}).decide(t.Context(), pipeline.Job{Request: &request, Office: &store.Office{}}); !fault.IsPermanent(err) {
			t.Errorf("data of another shape: %v, want a permanent error", err)
		}
	}
}

// at is the moment at which the tests decide.
var at = time.Date(2026, 11, 25, 10, 7, 0, 0, time.UTC)

// TestStage runs the stage against the database: the decision, its audit trail,
// what follows from it and the next stage are there together.
func TestStage(t *testing.T) {
	all := func(w workflow.Config) workflow.Config {
		w.CRMIntegration = workflow.CRMIntegration{Enabled: true, Provider: "hubspot", PushImmediately: true}
		w.EmailNotifications = workflow.EmailNotifications{Enabled: true, Recipients: []string{"a@example.com", "A@example.com", "b@example.com"}}
		return w
	}
	batch := func(w workflow.Config) workflow.Config {
		w = all(w)
		w.CRMIntegration.PushImmediately, w.EmailNotifications.Enabled = false, false
		return w
	}
	off := func(w workflow.Config) workflow.Config { return w }
	for name, tc := range map[string]struct {
		change  func(workflow.Config) workflow.Config
		zip     string
		want    string
		effects []string
		trail   []string
	}{
		// A form that was not analysed is for a person to look at.
		"all": {all, "90210", "needs_review",
			[]string{"crm hubspot planned immediate", "email a@example.com planned immediate", "email b@example.com planned immediate"},
			[]string{"crm.planned: the decision is needs_review, and leads are pushed to hubspot at once", "email.planned: every lead is mailed", "email.planned: every lead is mailed"}},
		"held_back": {all, "10001", "out_of_area", nil,
			[]string{"crm.skipped: the decision is out_of_area: it is held back", "email.skipped: the decision is out_of_area: it is held back"}},
		"batch": {batch, "90210", "needs_review", []string{"crm hubspot planned batch"},
			[]string{"crm.planned: the decision is needs_review, and leads are pushed to hubspot in batches", "email.skipped: e-mail notifications are off"}},
		"off": {off, "90210", "needs_review", nil,
			[]string{"crm.skipped: the CRM integration is off", "email.skipped: e-mail notifications are off"}},
	} {
		t.Run(name, func(t *testing.T) {
			db := storetest.Open(t)
			acme := db.Tenant("acme")
			cfg := tc.change(area(t))
			if _, err := acme.Sync(t.Context(), tenant.Tenant{ID: "acme", Name: "Acme", State: "active",
				Offices: []tenant.Office{{ID: "main", Name: "Main", Workflow: cfg}}}); err != nil {
				t.Fatal(err)
			}
			if _, err := storetest.Accept(t.Context(), acme, store.Request{TenantID: "acme", RequestID: requestID, OfficeID: "main", Source: store.SourceForm,
				CommunicationMode: store.ModeForm, PostalCode: tc.zip, Payload: []byte(`{}`)}, topology.Workflow); err != nil {
				t.Fatal(err)
			}
			wirefake.Credentials(t)
			google := wirefake.New(t, nil)
			client, err := gcp.CloudTasks(t.Context(), google.URL)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { client.Close() })
			enqueuer := pipeline.NewEnqueuer(client, pipeline.TasksConfig{ServiceAccount: "tasks@p.iam"},
				pipeline.Targets{topology.Delivery.Queue(): {Queue: "projects/p/locations/l/queues/delivery", ServiceURL: "http://dispatcher"}})
			w := &worker{batchEvery: 15 * time.Minute, now: func() time.Time { return at }}
			s := service.New(service.Config{MaxBodyBytes: 1 << 20}, slog.New(slog.DiscardHandler))
			pipeline.NewRunner(db, w, enqueuer, pipeline.StageConfig{MaxAttempts: 3, Lease: time.Minute}).Mount(s.Router)
			rec := httptest.NewRecorder()
			s.Router.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/tasks/workflow",
				strings.NewReader(`{"tenant_id":"acme","request_id":"`+requestID+`"}`)))
			if rec.Code != http.StatusOK {
				t.Fatalf("answered %d: %s", rec.Code, rec.Body)
			}

			story, err := acme.Story(t.Context(), requestID)
			if err != nil {
				t.Fatal(err)
			}
			wantStatus, wantStages := store.StatusCompleted, 1
			if tc.effects != nil {
				wantStatus, wantStages = store.StatusProcessing, 2
			}
			if story.Request.Decision != tc.want || story.Request.Status != wantStatus || len(story.Stages) != wantStages {
				t.Errorf("decision %q, status %q, stages %+v", story.Request.Decision, story.Request.Status, story.Stages)
			}
			var effects, trail []string
			for _, e := range story.Effects {
				effects = append(effects, strings.Join([]string{e.Kind, e.Target, e.State, e.Mode}, " "))
				if e.Mode == store.ModeBatch && !e.NextAttempt.Equal(at.Truncate(15*time.Minute).Add(15*time.Minute)) {
					t.Errorf("the batch leaves at %s", e.NextAttempt)
				}
			}
			for _, e := range story.Entries[2:] { // accepted, decided
				if e.ConfigHash != store.ConfigHash(cfg) || e.Stage != topology.Workflow {
					t.Errorf("entry %+v", e)
				}
				trail = append(trail, e.Action+": "+e.Reason)
			}
			if diff := cmp.Diff(tc.effects, effects); diff != "" {
				t.Errorf("effects (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.trail, trail); diff != "" {
				t.Errorf("audit trail (-want +got):\n%s", diff)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	good := config{Stage: pipeline.StageConfig{MaxAttempts: 1, Lease: time.Minute}, BatchEvery: time.Minute}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	if err := (config{}).Validate(); err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("Validate = %v, want three mistakes", err)
	}
}
