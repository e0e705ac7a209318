package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/ddl"
	"ingestion.internal/shared/fault"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/spannertest"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/tenant"
	"ingestion.internal/shared/topology"
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

// recorder is an effect that fails as often as it is told to.
type recorder struct {
	name     string
	failures int
	applied  *[]string
}

func (r *recorder) Name() string { return r.name }

func (r *recorder) Apply(_ context.Context, job pipeline.Job, d workflow.Decision) error {
	*r.applied = append(*r.applied, r.name+" "+string(d.Outcome))
	if r.failures > 0 {
		r.failures--
		return errors.New("the CRM is away")
	}
	return nil
}

// TestStage runs the stage against the database: a failing effect leaves the
// request undecided for the next attempt, which completes it.
func TestStage(t *testing.T) {
	t.Parallel()
	parts := strings.Split(spannertest.New(t, ddl.Statements()), "/")
	db, err := store.Open(t.Context(), store.Config{Project: parts[1], Instance: parts[3], Database: parts[5], Emulator: "on"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	acme := db.Tenant("acme")
	if _, err := acme.Sync(t.Context(), tenant.Tenant{ID: "acme", Name: "Acme", State: "active",
		Offices: []tenant.Office{{ID: "main", Name: "Main", Workflow: area(t)}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := acme.Accept(t.Context(), store.Request{TenantID: "acme", RequestID: requestID, OfficeID: "main", Source: store.SourceForm,
		CommunicationMode: store.ModeForm, PostalCode: "10001", Payload: []byte(`{}`)}, topology.Workflow); err != nil {
		t.Fatal(err)
	}

	var applied []string
	w := &worker{effects: []effect{&recorder{"crm", 1, &applied}, &recorder{"email", 0, &applied}}}
	s := service.New(service.Config{MaxBodyBytes: 1 << 20}, slog.New(slog.DiscardHandler))
	pipeline.NewRunner(db, w, nil, pipeline.StageConfig{MaxAttempts: 3, Lease: time.Minute}).Mount(s.Router)
	post := func() int {
		rec := httptest.NewRecorder()
		s.Router.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/tasks/workflow",
			strings.NewReader(`{"tenant_id":"acme","request_id":"`+requestID+`"}`)))
		return rec.Code
	}

	if code := post(); code != http.StatusServiceUnavailable {
		t.Errorf("first attempt answered %d, want 503", code)
	}
	if got, err := acme.Request(t.Context(), requestID); err != nil || got.Decision != "" || got.Status == store.StatusCompleted {
		t.Errorf("after a failed effect: %+v, %v", got, err)
	}
	if code := post(); code != http.StatusOK {
		t.Errorf("second attempt answered %d, want 200", code)
	}
	got, err := acme.Request(t.Context(), requestID)
	if err != nil {
		t.Fatal(err)
	}
	if got.Decision != "out_of_area" || got.Status != store.StatusCompleted {
		t.Errorf("decision %q, status %q", got.Decision, got.Status)
	}
	wantReasons := []string{"spam likelihood is unknown: the request was not analysed", "ZIP code 10001 is not in the service area: it is 2453.4 miles from 90210, the nearest area"}
	if diff := cmp.Diff(wantReasons, got.DecisionReasons); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
	story, err := acme.Story(t.Context(), requestID)
	if err != nil {
		t.Fatal(err)
	}
	var trail []string
	for _, e := range story.Entries {
		trail = append(trail, string(e.Stage)+" "+e.Action+": "+e.Reason)
	}
	wantTrail := []string{
		" accepted: an event of website_form was accepted",
		"workflow attempt.failed: crm: the CRM is away",
		"workflow decided: out_of_area: spam likelihood is unknown: the request was not analysed; ZIP code 10001 is not in the service area: it is 2453.4 miles from 90210, the nearest area",
	}
	if diff := cmp.Diff(wantTrail, trail); diff != "" {
		t.Errorf("audit trail (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"crm out_of_area", "crm out_of_area", "email out_of_area"}, applied); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
}
