package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/documents"
	"ingestion.internal/shared/fault"
	"ingestion.internal/shared/form"
	"ingestion.internal/shared/intake"
	"ingestion.internal/shared/logging"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/telemetry"
	"ingestion.internal/shared/telemetry/telemetrytest"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/wirefake"
)

const (
	bucket    = "documents"
	processor = "projects/p/locations/us/processors/abc/processorVersions/v2"
)

// world is the service with Document AI and Cloud Storage served on loopback.
type world struct {
	t       *testing.T
	objects *fakestorage.Server
	google  *wirefake.Server
	db      *store.DB
	handler http.Handler
	reader  http.HandlerFunc // Document AI
	reads   int
	worker  *worker
}

// sheet is the parser's answer about a sheet with a telephone number and an
// address that is not sure.
const sheet = `{"document":{"text":"Phone: 310 555 0142\nE-mail: d?na@example.com","pages":[{"pageNumber":1,"formFields":[
	{"fieldName":{"textAnchor":{"content":"Phone:"},"confidence":0.99},"fieldValue":{"textAnchor":{"content":"310 555 0142"},"confidence":0.93}},
	{"fieldName":{"textAnchor":{"content":"E-mail:"},"confidence":0.99},"fieldValue":{"textAnchor":{"content":"dna@example.com"},"confidence":0.4}}]}]}}`

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// newWorld starts the service as it runs, with Document AI unless off.
func newWorld(t *testing.T, off bool) *world {
	t.Helper()
	wirefake.Credentials(t)
	w := &world{t: t, reader: answer(http.StatusOK, sheet)}
	reading := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.reads++
		if want := "/v1/" + processor + ":process"; r.URL.Path != want || r.Header.Get("Authorization") != "Bearer "+wirefake.Token {
			t.Errorf("%s with %q", r.URL.Path, r.Header.Get("Authorization"))
		}
		w.reader(rw, r)
	}))
	t.Cleanup(reading.Close)
	objects, err := fakestorage.NewServerWithOptions(fakestorage.Options{Scheme: "http", Host: "127.0.0.1", Port: 0})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(objects.Stop)
	objects.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: bucket})
	w.objects = objects
	w.google = wirefake.New(t, nil)
	db, storeConfig := storetest.OpenConfig(t)
	w.db = db
	s := service.New(service.Config{MaxBodyBytes: 1 << 20}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	cfg := config{
		Store: storeConfig, Stage: pipeline.StageConfig{Lease: time.Minute, MaxAttempts: 3},
		Tasks:  pipeline.TasksConfig{Endpoint: w.google.URL, ServiceAccount: "tasks@p.iam.gserviceaccount.com"},
		Next:   pipeline.Target{Queue: "projects/p/locations/l/queues/ai-analysis", ServiceURL: "https://analyzer.example"},
		Bucket: bucket, StorageEndpoint: objects.URL(), Processor: processor, Endpoint: reading.URL, MinConfidence: 0.8,
	}
	if off {
		cfg.Processor = ""
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := setup(t.Context(), cfg, s); err != nil {
		t.Fatal(err)
	}
	w.handler = s.Router
	if w.worker, err = newWorker(t.Context(), cfg, s, db); err != nil {
		t.Fatal(err)
	}
	return w
}

// form makes a request of the first tenant with a file, which is stored unless
// gone.
func (w *world) form(id string, gone bool, change func(*store.Request)) {
	w.t.Helper()
	a := form.Attachment{Field: "plan", Name: "sheet.pdf", Object: storetest.Acme + "/" + id + "/1.pdf", Type: form.PDF, Size: 4}
	if !gone {
		w.objects.CreateObject(fakestorage.Object{ObjectAttrs: fakestorage.ObjectAttrs{BucketName: bucket, Name: a.Object}, Content: []byte("file")})
	}
	payload, err := (&form.Form{Fields: map[string]any{"message": "A kitchen"}, Attachments: []form.Attachment{a}}).Payload("")
	if err != nil {
		w.t.Fatal(err)
	}
	r := store.Request{TenantID: storetest.Acme, RequestID: id, Source: store.SourceForm, CommunicationMode: store.ModeForm, Payload: payload}
	if change != nil {
		change(&r)
	}
	if _, err := storetest.Accept(w.t.Context(), w.db.Tenant(storetest.Acme), r, topology.DocumentProcessing); err != nil {
		w.t.Fatal(err)
	}
}

// task delivers the request's task and returns the answer's status and the
// story.
func (w *world) task(id string) (int, *store.Story) {
	w.t.Helper()
	body, err := json.Marshal(pipeline.Task{TenantID: storetest.Acme, RequestID: id})
	if err != nil {
		w.t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, topology.DocumentProcessing.Path(), strings.NewReader(string(body))))
	s, err := w.db.Tenant(storetest.Acme).Story(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return rec.Code, s
}

const (
	first  = "00000000-0000-4000-8000-000000000001"
	second = "00000000-0000-4000-8000-000000000002"
)

func TestDocuments(t *testing.T) {
	object := storetest.Acme + "/" + first + "/1.pdf"
	whole := documents.Document{Object: object, Name: "sheet.pdf", Type: form.PDF, Status: documents.StatusRead, Pages: 1,
		Text:   "Phone: 310 555 0142\nE-mail: d?na@example.com",
		Fields: []documents.Field{{Name: "Phone", Value: "310 555 0142", Confidence: 0.93}, {Name: "E-mail", Value: "dna@example.com", Confidence: 0.4}},
	}
	phone := documents.Found{Value: "+13105550142", Confidence: 0.93, Object: object, Field: "Phone"}
	used := phone
	used.Used = true
	email := documents.Found{Value: "dna@example.com", Confidence: 0.4, Object: object, Field: "E-mail"}
	bare := documents.Document{Object: object, Name: "sheet.pdf", Type: form.PDF}
	with := func(status documents.Status, cause string) *documents.Reading {
		d := bare
		d.Status, d.Cause = status, cause
		return &documents.Reading{Processor: processor, Documents: []documents.Document{d}}
	}
	for name, tt := range map[string]struct {
		off, gone bool
		phone     string // that the form has itself
		reader    http.HandlerFunc
		want      *documents.Reading // its cause's beginning
		wantPhone string
		actions   []string
	}{
		"fills_in_what_is_missing": {
			want:      &documents.Reading{Processor: processor, Documents: []documents.Document{whole}, Contact: map[string]documents.Found{"phone": used, "email": email}},
			wantPhone: "+13105550142", actions: []string{"accepted", "document.read", "document.used"},
		},
		"contradicts_nobody": {
			phone:     "+13105559999",
			want:      &documents.Reading{Processor: processor, Documents: []documents.Document{whole}, Contact: map[string]documents.Found{"phone": phone, "email": email}},
			wantPhone: "+13105559999", actions: []string{"accepted", "document.read"},
		},
		"nothing_to_read": {
			reader: answer(http.StatusOK, `{"document":{"pages":[{"pageNumber":1}]}}`),
			want: func() *documents.Reading {
				r := with(documents.StatusEmpty, "")
				r.Documents[0].Pages = 1
				return r
			}(),
			actions: []string{"accepted", "document.empty"},
		},
		"damaged": {
			reader: answer(http.StatusBadRequest, `{"error":{"code":400,"message":"Failed to process the document","status":"INVALID_ARGUMENT"}}`),
			want:   with(documents.StatusFailed, "document AI: "), actions: []string{"accepted", "document.failed"},
		},
		"gone": {
			gone: true, want: with(documents.StatusFailed, "gs://documents/"+object+" is gone"), actions: []string{"accepted", "document.failed"},
		},
		"off": {
			off: true, want: func() *documents.Reading {
				r := with(documents.StatusOff, "Document AI is off in this stack")
				r.Processor = ""
				return r
			}(),
			actions: []string{"accepted", "document.off"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tt.off)
			if tt.reader != nil {
				w.reader = tt.reader
			}
			w.form(first, tt.gone, func(r *store.Request) { r.CustomerPhone = tt.phone })
			code, s := w.task(first)
			if code != http.StatusOK || s.Request.CustomerPhone != tt.wantPhone || s.Request.CustomerEmail != "" {
				t.Errorf("%d, phone %q, e-mail %q", code, s.Request.CustomerPhone, s.Request.CustomerEmail)
			}
			got, err := documents.Parse(s.Request.Documents)
			if err != nil {
				t.Fatal(err)
			}
			if cause := tt.want.Documents[0].Cause; cause != "" {
				if !strings.HasPrefix(got.Documents[0].Cause, cause) {
					t.Errorf("cause %q, want %q", got.Documents[0].Cause, cause)
				}
				got.Documents[0].Cause = cause
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			var actions []string
			for _, e := range s.Entries {
				actions = append(actions, e.Action)
			}
			if diff := cmp.Diff(tt.actions, actions); diff != "" {
				t.Errorf("audit trail (-want +got)\n%s", diff)
			}
			if last := s.Stages[len(s.Stages)-1]; last.Stage != topology.AIAnalysis || last.State != store.StatePending || !last.Enqueued {
				t.Errorf("the analysis does not follow: %+v", s.Stages)
			}
		})
	}
}

// What passes is tried again, and a stage that is done is not done, nor paid,
// twice. A person whose number was on a sheet is known again by it.
func TestRetryAndLink(t *testing.T) {
	w := newWorld(t, false)
	w.form(first, false, nil)
	w.reader = answer(http.StatusTooManyRequests, `{"error":{"code":429,"message":"Quota exceeded","status":"RESOURCE_EXHAUSTED"}}`)
	if code, s := w.task(first); code != http.StatusServiceUnavailable || s.Request.Documents != nil || s.Stages[0].State != store.StatePending {
		t.Errorf("%d, %s, %+v", code, s.Request.Documents, s.Stages)
	}
	w.reader = answer(http.StatusOK, sheet)
	for range 2 {
		if code, s := w.task(first); code != http.StatusOK || s.Request.CustomerPhone != "+13105550142" {
			t.Errorf("%d, %+v", code, s.Request)
		}
	}
	if w.reads != 2 {
		t.Errorf("%d requests to Document AI, want the one that was refused and one more", w.reads)
	}
	w.form(second, true, func(r *store.Request) { r.CustomerPhone = "310 555 0142" })
	s, err := w.db.Tenant(storetest.Acme).Story(t.Context(), second)
	if err != nil || len(s.Links) != 1 || s.Links[0].RequestID != first {
		t.Errorf("links %+v, %v", s.Links, err)
	}
}

// The last attempt goes on without the files: what the customer wrote is worth
// an answer, whatever is the matter with Document AI.
func TestLastAttemptGoesOn(t *testing.T) {
	w := newWorld(t, false)
	w.form(first, false, nil)
	w.reader = answer(http.StatusForbidden, `{"error":{"code":403,"message":"Permission denied","status":"PERMISSION_DENIED"}}`)
	for attempt := 1; attempt < 3; attempt++ {
		if code, s := w.task(first); code != http.StatusServiceUnavailable || s.Request.Documents != nil {
			t.Errorf("attempt %d: %d, %s", attempt, code, s.Request.Documents)
		}
	}
	code, s := w.task(first)
	got, err := documents.Parse(s.Request.Documents)
	if code != http.StatusOK || err != nil || len(got.Documents) != 1 || got.Documents[0].Status != documents.StatusFailed ||
		!strings.Contains(got.Documents[0].Cause, "Permission denied") || s.Stages[len(s.Stages)-1].Stage != topology.AIAnalysis {
		t.Errorf("%d, %+v, %v, %+v", code, got, err, s.Stages)
	}
}

// TestPaidOnce: whatever order refusals and attempts that die come in, each file
// is read once, and the request ends as if nothing had happened.
func TestPaidOnce(t *testing.T) {
	contents := []string{"Phone: 310 555 0142", "Cabinets: oak", "Tile: blue"}
	for seed := range uint64(10) {
		random := rand.New(rand.NewPCG(seed, 15))
		w := newWorld(t, false)
		answered, refused := map[string]int{}, 0
		w.reader = func(rw http.ResponseWriter, r *http.Request) {
			var req struct{ RawDocument struct{ Content []byte } }
			if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
				t.Error(err)
			}
			if refused < 6 && random.IntN(2) == 0 {
				refused++
				answer(http.StatusServiceUnavailable, `{"error":{"code":503,"status":"UNAVAILABLE"}}`)(rw, r)
				return
			}
			content := string(req.RawDocument.Content)
			answered[content]++
			label, value, _ := strings.Cut(content, ": ")
			answer(http.StatusOK, fmt.Sprintf(`{"document":{"text":%q,"pages":[{"formFields":[{"fieldName":{"textAnchor":{"content":%q},"confidence":1},
				"fieldValue":{"textAnchor":{"content":%q},"confidence":1}}]}]}}`, content, label, value))(rw, r)
		}
		var files []form.Attachment
		for i, content := range append(contents, contents[0]) { // the first one twice
			sum := sha256.Sum256([]byte(content))
			a := form.Attachment{Field: "plan", Name: fmt.Sprint(i), Object: fmt.Sprintf("%s/%s/%x.pdf", storetest.Acme, first, sum), Type: form.PDF, Size: len(content)}
			w.objects.CreateObject(fakestorage.Object{ObjectAttrs: fakestorage.ObjectAttrs{BucketName: bucket, Name: a.Object}, Content: []byte(content)})
			files = append(files, a)
		}
		w.form(first, true, func(r *store.Request) {
			payload, err := (&form.Form{Fields: map[string]any{"message": "A kitchen"}, Attachments: files}).Payload("")
			if err != nil {
				t.Fatal(err)
			}
			r.Payload = payload
		})
		h := w.db.Tenant(storetest.Acme)
		w.worker.maxAttempts = 1000
		for attempt := 1; ; attempt++ {
			claim, err := h.Claim(t.Context(), first, topology.DocumentProcessing, time.Minute, 1000)
			if err != nil || claim.State != store.Claimed || attempt > 100 {
				t.Fatalf("seed %d, attempt %d: %+v, %v", seed, attempt, claim, err)
			}
			out, err := w.worker.Work(t.Context(), pipeline.Job{Request: claim.Request, Office: claim.Office, Attempt: claim.Attempt})
			if err != nil || random.IntN(3) == 0 { // or its instance dies
				if _, err := h.Fail(t.Context(), claim, "x", false, 1000); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if _, err := h.Finish(t.Context(), claim, out); err != nil {
				t.Fatal(err)
			}
			break
		}
		w.task(first) // delivered once more
		if diff := cmp.Diff(map[string]int{contents[0]: 1, contents[1]: 1, contents[2]: 1}, answered); diff != "" {
			t.Errorf("seed %d: files by how often they were paid for (-want +got)\n%s", seed, diff)
		}
		s, err := h.Story(t.Context(), first)
		if err != nil {
			t.Fatal(err)
		}
		reading, err := documents.Parse(s.Request.Documents)
		if err != nil || s.Request.CustomerPhone != "+13105550142" {
			t.Errorf("seed %d: phone %q, %v", seed, s.Request.CustomerPhone, err)
		}
		var names []string
		for _, d := range reading.Documents {
			names = append(names, d.Name+" "+d.Text)
		}
		if diff := cmp.Diff([]string{"0 " + contents[0], "1 " + contents[1], "2 " + contents[2], "3 " + contents[0]}, names); diff != "" {
			t.Errorf("seed %d: documents (-want +got)\n%s", seed, diff)
		}
	}
}

type someNames struct{ err error }

func (n someNames) Intake(context.Context, string) (intake.Config, error) {
	return intake.Config{}, n.err
}

// A tenant that left still has its requests finished; a database that is away
// is another attempt's.
func TestNamesAway(t *testing.T) {
	t.Parallel()
	away := errors.New("away")
	for err, want := range map[error]error{store.ErrNotFound: nil, away: away} {
		w := &worker{names: someNames{err}, maxAttempts: 1}
		if _, got := w.Work(t.Context(), pipeline.Job{Request: &store.Request{Payload: []byte(`{}`)}}); !errors.Is(got, want) || fault.IsPermanent(got) {
			t.Errorf("%v: %v", err, got)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := config{Stage: pipeline.StageConfig{Lease: time.Minute, MaxAttempts: 1}, Processor: processor, MinConfidence: 0.8}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	bad := good
	bad.Processor, bad.MinConfidence = "forms", 80
	err := bad.Validate()
	for _, name := range []string{"DOCUMENT_AI_PROCESSOR", "DOCUMENT_MIN_CONFIDENCE"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
}

// TestLog keeps what the alert on documents is made of.
func TestLog(t *testing.T) {
	log := telemetrytest.Capture(t, topology.DocumentProcessor)
	w := newWorld(t, false)
	for i, reader := range []http.HandlerFunc{w.reader, answer(http.StatusBadRequest, `{"error":{"code":400}}`), answer(http.StatusServiceUnavailable, `{"error":{"code":503}}`)} {
		w.reader = reader
		ctx := logging.With(logging.WithTenant(t.Context(), "acme"), slog.String(telemetry.Stage, string(topology.DocumentProcessing)))
		id := []string{first, second, "00000000-0000-4000-8000-000000000003"}[i]
		w.form(id, false, nil)
		body, _ := json.Marshal(pipeline.Task{TenantID: storetest.Acme, RequestID: id})
		w.handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodPost, topology.DocumentProcessing.Path(), strings.NewReader(string(body))))
	}
	log.Golden()
}
