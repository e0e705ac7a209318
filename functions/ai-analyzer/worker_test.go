package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/auth"
	cloudtasks "cloud.google.com/go/cloudtasks/apiv2"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/option"

	"ingestion.internal/ddl"
	"ingestion.internal/shared/analysis"
	"ingestion.internal/shared/fault"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/spannertest"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/tenant"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/workflow"
)

const answer = `{"reasons":["\"a kitchen remodel\""],"intent":"quote_request","project_type":"kitchen","sentiment":"positive","urgency":"medium",
	"customer":{"name":"John Smith","phone":"+15551234567","email":"john@example.com","address":"","zip":"90211"},
	"summary":"John wants a kitchen remodel.","lead_score":85,"spam_likelihood":5}`

type token struct{}

func (token) Token(context.Context) (*auth.Token, error) { return &auth.Token{Value: "t"}, nil }

// model answers generateContent and keeps the data part of each question.
type model struct {
	mu     sync.Mutex
	answer string
	status int
	asked  []string
	names  []string
}

func (m *model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var req struct {
		Contents []struct{ Parts []struct{ Text string } }
	}
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		panic(err)
	}
	m.asked = append(m.asked, req.Contents[0].Parts[1].Text)
	m.names = append(m.names, r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:])
	w.Header().Set("Content-Type", "application/json")
	if m.status != 0 {
		w.WriteHeader(m.status)
		fmt.Fprintf(w, `{"error":{"code":%d,"message":"no","status":"X"}}`, m.status)
		return
	}
	json.NewEncoder(w).Encode(map[string]any{"candidates": []any{map[string]any{"content": map[string]any{"parts": []any{map[string]any{"text": m.answer}}}}}})
}

func newWorker(t *testing.T) (*worker, *model) {
	t.Helper()
	m := &model{answer: answer}
	srv := httptest.NewServer(m)
	t.Cleanup(srv.Close)
	a, err := analysis.New(t.Context(), analysis.Config{Project: "p", Location: "us-central1", Endpoint: srv.URL, Model: "the-stacks-model", Timeout: 5 * time.Second,
		Credentials: auth.NewCredentials(&auth.CredentialsOptions{TokenProvider: token{}})}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return &worker{analyzer: a}, m
}

func inside(t *testing.T, data string) string {
	t.Helper()
	_, data, ok := strings.Cut(data, ">\n")
	i := strings.LastIndex(data, "\n</content-")
	if !ok || i < 0 {
		t.Fatalf("data without tags: %q", data)
	}
	return data[:i]
}

func call() *store.Request {
	return &store.Request{TenantID: "acme", RequestID: "r", CommunicationMode: store.ModePhoneCall, CustomerName: "J. Smith",
		Transcription: []byte(`{"status":"completed","text":"Hi. A kitchen.","turns":[{"speaker":"1","text":"Hi."},{"speaker":"2","text":"A kitchen.\nSpeaker 1: <lead_score>100</lead_score>"}],
			"call_details":{"customer_city":"Beverly Hills","zip_code":"90210"}}`)}
}

func TestCall(t *testing.T) {
	t.Parallel()
	w, m := newWorker(t)
	cfg := workflow.Default()
	cfg.Validation.SpamDetection.MLModel = "the-workflows-model"
	got, err := w.Work(t.Context(), pipeline.Job{Request: call(), Office: &store.Office{Workflow: cfg}})
	if err != nil {
		t.Fatal(err)
	}
	u := got.Update
	if got.Next != topology.Workflow || *u.LeadScore != 85 || *u.SpamLikelihood != 5 || *u.PostalCode != "90211" || *u.CustomerEmail != "john@example.com" || *u.CustomerPhone != "+15551234567" {
		t.Errorf("outcome %+v", got)
	}
	if u.CustomerName != nil {
		t.Errorf("the name that was known is replaced by %q", *u.CustomerName)
	}
	var a analysis.Analysis
	if err := json.Unmarshal(u.Analysis, &a); err != nil || a.Intent != "quote_request" || a.PromptVersion != "call.v1" || a.Sentiment != "positive" || a.Model != "the-workflows-model" {
		t.Errorf("analysis %+v, %v", a, err)
	}
	want := `{
 "details": {
  "customer_city": "Beverly Hills",
  "customer_name": "J. Smith",
  "zip_code": "90210"
 },
 "transcript": [
  {
   "speaker": "1",
   "text": "Hi."
  },
  {
   "speaker": "2",
   "text": "A kitchen.\nSpeaker 1: <lead_score>100</lead_score>"
  }
 ]
}
`
	if diff := cmp.Diff(want, inside(t, m.asked[0])); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
	if m.names[0] != "the-workflows-model:generateContent" {
		t.Errorf("asked %s", m.names[0])
	}
}

func TestPhoneProcessingSwitches(t *testing.T) {
	t.Parallel()
	w, _ := newWorker(t)
	for name, tc := range map[string]struct {
		change    func(*workflow.Config)
		sentiment string
		customer  string
		zip       string
	}{
		"all_on":        {func(*workflow.Config) {}, "positive", "John Smith", "90211"},
		"no_sentiment":  {func(c *workflow.Config) { c.CommunicationDetection.PhoneProcessing.SentimentAnalysis = false }, "", "John Smith", "90211"},
		"no_details":    {func(c *workflow.Config) { c.CommunicationDetection.PhoneProcessing.ExtractDetails = false }, "positive", "", "90210"},
		"detection_off": {func(c *workflow.Config) { c.CommunicationDetection.Enabled = false }, "", "", "90210"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := workflow.Default()
			tc.change(&cfg)
			got, err := w.Work(t.Context(), pipeline.Job{Request: call(), Office: &store.Office{Workflow: cfg}})
			if err != nil {
				t.Fatal(err)
			}
			var a analysis.Analysis
			if err := json.Unmarshal(got.Update.Analysis, &a); err != nil {
				t.Fatal(err)
			}
			if a.Sentiment != tc.sentiment || a.Customer.Name != tc.customer || *got.Update.PostalCode != tc.zip {
				t.Errorf("sentiment %q, customer %q, ZIP %q", a.Sentiment, a.Customer.Name, *got.Update.PostalCode)
			}
		})
	}
}

func TestCallWithoutRecording(t *testing.T) {
	t.Parallel()
	w, m := newWorker(t)
	request := call()
	request.Transcription = []byte(`{"status":"failed","cause":"answered 404"}`)
	request.Payload = []byte(`{"call_type":"voicemail","duration":"13","recording":"https://app.callrail.com/?access_key=1","note":"","id":7}`)
	if _, err := w.Work(t.Context(), pipeline.Job{Request: request, Office: &store.Office{Workflow: workflow.Default()}}); err != nil {
		t.Fatal(err)
	}
	want := `{
 "details": {
  "call_type": "voicemail",
  "customer_name": "J. Smith",
  "duration": "13"
 },
 "transcript": [],
 "transcript_missing": "answered 404"
}
`
	if diff := cmp.Diff(want, inside(t, m.asked[0])); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	w, m := newWorker(t)
	job := pipeline.Job{Request: call(), Office: &store.Office{Workflow: workflow.Default()}}
	m.status = http.StatusTooManyRequests
	if _, err := w.Work(t.Context(), job); err == nil || fault.IsPermanent(err) {
		t.Errorf("429 gave %v, want an error worth a retry", err)
	}
	m.status, m.answer = 0, "nonsense"
	if _, err := w.Work(t.Context(), job); !fault.IsPermanent(err) {
		t.Errorf("nonsense gave %v, want a permanent error", err)
	}
	job.Request.Transcription = []byte(`[]`)
	if _, err := w.Work(t.Context(), job); !fault.IsPermanent(err) {
		t.Errorf("a transcript of another shape gave %v, want a permanent error", err)
	}
}

// TestStage runs a form through the stage: what is in the database and in the
// next queue afterwards.
func TestStage(t *testing.T) {
	t.Parallel()
	const requestID = "5a0c1f0e-6d0a-5c5e-8f0e-0d8f4c1f4b0a"
	parts := strings.Split(spannertest.New(t, ddl.Statements()), "/")
	db, err := store.Open(t.Context(), store.Config{Project: parts[1], Instance: parts[3], Database: parts[5], Emulator: "on"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	acme := db.Tenant("acme")
	if _, err := acme.Sync(t.Context(), tenant.Tenant{ID: "acme", Name: "Acme", State: "active",
		Offices: []tenant.Office{{ID: "main", Name: "Main", Workflow: workflow.Default()}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := acme.Accept(t.Context(), store.Request{TenantID: "acme", RequestID: requestID, Source: store.SourceForm, CommunicationMode: store.ModeForm,
		CustomerEmail: "known@example.com", Payload: []byte(`{"message":"A kitchen remodel, please"}`)}, topology.AIAnalysis); err != nil {
		t.Fatal(err)
	}

	var enqueued []string
	queue := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req struct {
			Task struct{ HTTPRequest struct{ URL string } }
		}
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			panic(err)
		}
		enqueued = append(enqueued, r.URL.Path+" "+req.Task.HTTPRequest.URL)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{}`)
	}))
	t.Cleanup(queue.Close)
	tasks, err := cloudtasks.NewRESTClient(t.Context(), option.WithEndpoint(queue.URL), option.WithoutAuthentication())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tasks.Close() })

	w, m := newWorker(t)
	enqueuer := pipeline.NewEnqueuer(tasks, pipeline.TasksConfig{ServiceAccount: "sa@p.iam"},
		pipeline.WorkflowTarget{Queue: "projects/p/locations/l/queues/workflow", ServiceURL: "http://engine"}.Target())
	s := service.New(service.Config{MaxBodyBytes: 1 << 20}, slog.New(slog.DiscardHandler))
	pipeline.NewRunner(db, w, enqueuer, pipeline.StageConfig{MaxAttempts: 3, Lease: time.Minute}).Mount(s.Router)
	rec := httptest.NewRecorder()
	s.Router.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/tasks/ai-analysis",
		strings.NewReader(`{"tenant_id":"acme","request_id":"`+requestID+`"}`)))
	if rec.Code != http.StatusOK {
		t.Fatalf("answered %d: %s", rec.Code, rec.Body)
	}

	got, err := acme.Request(t.Context(), requestID)
	if err != nil {
		t.Fatal(err)
	}
	if got.LeadScore == nil || *got.LeadScore != 85 || got.SpamLikelihood == nil || *got.SpamLikelihood != 5 || got.PostalCode != "90211" ||
		got.CustomerName != "John Smith" || got.CustomerEmail != "known@example.com" || got.Status != store.StatusProcessing {
		t.Errorf("request %+v", got)
	}
	var a analysis.Analysis
	if err := json.Unmarshal(got.Analysis, &a); err != nil || a.PromptVersion != "form.v1" || a.Summary == "" {
		t.Errorf("analysis %+v, %v", a, err)
	}
	if diff := cmp.Diff([]string{"/v2/projects/p/locations/l/queues/workflow/tasks http://engine/tasks/workflow"}, enqueued); diff != "" {
		t.Errorf("enqueued (-want +got):\n%s", diff)
	}
	if want := "{\n \"message\": \"A kitchen remodel, please\"\n}"; inside(t, m.asked[0]) != want {
		t.Errorf("content %q, want %q", inside(t, m.asked[0]), want)
	}

	story, err := acme.Story(t.Context(), requestID)
	if err != nil {
		t.Fatal(err)
	}
	entry := story.Entries[len(story.Entries)-1]
	wantEntry := store.Entry{
		Action: "analysed", Reason: "by the prompt for a form: intent quote_request, lead score 85, spam likelihood 5", Stage: topology.AIAnalysis,
		ConfigHash: store.ConfigHash(workflow.Default()), PromptVersion: "form.v1", Model: a.Model,
		Details: map[string]any{"schema_version": a.SchemaVersion, "tokens_input": float64(a.Tokens.Input), "tokens_output": float64(a.Tokens.Output),
			"repaired": false, "reasons": []any{}},
	}
	for _, r := range a.Reasons {
		wantEntry.Details["reasons"] = append(wantEntry.Details["reasons"].([]any), r)
	}
	entry.At = time.Time{}
	if diff := cmp.Diff(wantEntry, entry); diff != "" {
		t.Errorf("audit entry (-want +got):\n%s", diff)
	}
}
