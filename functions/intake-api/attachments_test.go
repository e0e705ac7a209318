package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/form"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/secrets"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/wirefake"
)

const (
	documentBucket = "documents"
	plan           = "%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"
)

// withFiles is the service with room for files, and the bucket that it writes
// to. away makes the store fail.
func withFiles(t *testing.T, away bool) (*fixture, *fakestorage.Server) {
	t.Helper()
	wirefake.Credentials(t)
	google := wirefake.New(t, map[string]string{})
	objects, err := fakestorage.NewServerWithOptions(fakestorage.Options{Scheme: "http", Host: "127.0.0.1", Port: 0})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(objects.Stop)
	endpoint := objects.URL()
	if away {
		refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
		t.Cleanup(refusing.Close)
		endpoint = refusing.URL
	}
	objects.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: documentBucket})
	db, storeConfig := storetest.OpenConfig(t)
	s := service.New(service.Config{MaxBodyBytes: 96 << 10}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err := setup(t.Context(), config{
		Config: service.Config{MaxBodyBytes: 96 << 10}, MaxAttachmentBytes: 64 << 10,
		Store:   storeConfig,
		Secrets: secrets.Config{Endpoint: google.URL, Project: "p", MaxAge: time.Minute},
		Tasks:   pipeline.TasksConfig{Endpoint: google.URL, ServiceAccount: "tasks@p.iam.gserviceaccount.com"},
		Bucket:  documentBucket, StorageEndpoint: endpoint,
		Documents:  pipeline.Target{Queue: queue, ServiceURL: "https://documents.example"},
		AIAnalysis: pipeline.Target{Queue: queue, ServiceURL: "https://analyzer.example"},
	}, s); err != nil {
		t.Fatal(err)
	}
	return &fixture{t, db, s.Router, google}, objects
}

// upload sends a form with files, by their names.
func (f *fixture) upload(key string, fields map[string]string, files ...string) *httptest.ResponseRecorder {
	f.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	err := errors.Join(w.SetBoundary("b"), w.WriteField("tenant_id", "acme"))
	for name, value := range fields {
		err = errors.Join(err, w.WriteField(name, value))
	}
	for i := 0; i < len(files); i += 2 {
		part, partErr := w.CreateFormFile("plan", files[i])
		if err = errors.Join(err, partErr); err == nil {
			_, err = io.WriteString(part, files[i+1])
		}
	}
	if err = errors.Join(err, w.Close()); err != nil {
		f.t.Fatal(err)
	}
	return f.send(http.MethodPost, w.FormDataContentType(), body.String(), "Idempotency-Key", key)
}

func objectsIn(t *testing.T, s *fakestorage.Server) map[string]string {
	t.Helper()
	all, err := s.ListObjectsWithOptionsPaginated(documentBucket, fakestorage.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, o := range all.Objects {
		object, err := s.GetObject(documentBucket, o.Name)
		if err != nil {
			t.Fatal(err)
		}
		found[o.Name] = object.ContentType + " " + string(object.Content)
	}
	return found
}

func attachmentsOf(t *testing.T, r *store.Request) []form.Attachment {
	t.Helper()
	var payload struct {
		Intake struct {
			Attachments []form.Attachment `json:"attachments"`
		} `json:"_intake"`
	}
	if err := json.Unmarshal(r.Payload, &payload); err != nil {
		t.Fatal(err)
	}
	return payload.Intake.Attachments
}

// A form's files are stored before its answer, once, and listed in its request.
func TestAttachments(t *testing.T) {
	f, objects := withFiles(t, false)
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 3, 2))); err != nil {
		t.Fatal(err)
	}
	message := map[string]string{"message": "A new roof"}
	files := []string{"../../etc/plan.exe", plan, "roof.heic", picture.String()}
	r := f.request(f.upload("k1", message, files...), http.StatusAccepted)
	sum := func(s string) string { b := sha256.Sum256([]byte(s)); return hex.EncodeToString(b[:]) }
	object := func(data, end string) string { return fmt.Sprintf("acme/%s/%s.%s", r.RequestID, sum(data), end) }
	want := []form.Attachment{
		{Field: "plan", Name: "plan.exe", Object: object(plan, "pdf"), Type: form.PDF, Size: len(plan), SHA256: sum(plan)},
		{Field: "plan", Name: "roof.heic", Object: object(picture.String(), "png"), Type: form.PNG, Size: picture.Len(), SHA256: sum(picture.String())},
	}
	if diff := cmp.Diff(want, attachmentsOf(t, r)); diff != "" {
		t.Errorf("attachments (-want +got)\n%s", diff)
	}
	wantObjects := map[string]string{want[0].Object: "application/pdf " + plan, want[1].Object: "image/png " + picture.String()}
	if diff := cmp.Diff(wantObjects, objectsIn(t, objects)); diff != "" {
		t.Errorf("objects (-want +got)\n%s", diff)
	}
	if again := f.request(f.upload("k1", message, files...), http.StatusOK); again.RequestID != r.RequestID {
		t.Errorf("sent again: request %s, want %s", again.RequestID, r.RequestID)
	}
	if diff := cmp.Diff(wantObjects, objectsIn(t, objects)); diff != "" {
		t.Errorf("objects after it was sent again (-want +got)\n%s", diff)
	}
	// The same key with other files, or with none, is another form.
	for _, other := range [][]string{{"plan.pdf", strings.Replace(plan, "1.4", "1.5", 1)}, nil} {
		if rec := f.upload("k1", message, other...); rec.Code != http.StatusUnprocessableEntity {
			t.Errorf("%v: status %d, want 422: %s", other, rec.Code, rec.Body)
		}
	}
	if diff := cmp.Diff(wantObjects, objectsIn(t, objects)); diff != "" {
		t.Errorf("objects after others were refused (-want +got)\n%s", diff)
	}
	if got := f.request(f.upload("k2", nil, "plan.pdf", plan), http.StatusAccepted); len(attachmentsOf(t, got)) != 1 {
		t.Errorf("a file alone: %s", got.Payload)
	}
}

// A file's name is shown to people: it clears no terminal, and is not read from
// right to left.
func TestFileNames(t *testing.T) {
	for name, want := range map[string]string{
		"plan.pdf": "plan.pdf", "x\x1b[2J\u202efdp\n.exe": "x [2Jfdp .exe", "\xff": "", strings.Repeat("é", 201): strings.Repeat("é", 200),
	} {
		if got := shown(name); got != want {
			t.Errorf("%q is shown as %q, want %q", name, got, want)
		}
	}
}

// Nothing is stored of a form that is refused.
func TestAttachmentsRefused(t *testing.T) {
	f, objects := withFiles(t, false)
	message := map[string]string{"message": "x"}
	large := "%PDF-1.4" + strings.Repeat("x", 40<<10) + "%%EOF"
	for name, tt := range map[string]struct {
		fields map[string]string
		files  []string
		want   int
		detail string
	}{
		"heic":      {message, []string{"a.pdf", plan, "a.jpg", "\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"}, 415, "HEIC photos are not read: send PDF, PNG or JPEG; iPhones take JPEG with Settings, Camera, Formats, Most Compatible"},
		"text":      {message, []string{"a.pdf", "hello"}, 415, "files of this type are not accepted: send PDF, PNG or JPEG"},
		"six":       {message, []string{"1", plan, "2", plan, "3", plan, "4", plan, "5", plan, "6", plan}, 422, "at most 5 files are accepted"},
		"together":  {message, []string{"1", large, "2", large}, 413, "the files of a form may have 65536 bytes together"},
		"body":      {message, []string{"1", large, "2", large, "3", large}, 413, "at most 98304 bytes are accepted"},
		"fields":    {map[string]string{"message": "x", "more": strings.Repeat("x", 40<<10)}, nil, 413, "at most 32768 bytes are accepted beside files"},
		"bad_email": {map[string]string{"email": "x"}, []string{"a.pdf", plan}, 422, "email is not an address"},
	} {
		rec := f.upload("", tt.fields, tt.files...)
		var doc struct{ Detail string }
		if err := json.Unmarshal(rec.Body.Bytes(), &doc); err != nil {
			t.Fatal(err)
		}
		if rec.Code != tt.want || doc.Detail != tt.detail {
			t.Errorf("%s: status %d, %q; want %d, %q", name, rec.Code, doc.Detail, tt.want, tt.detail)
		}
	}
	if rec := f.send(http.MethodPost, "application/json", `{"tenant_id":"acme","message":"`+strings.Repeat("x", 40<<10)+`"}`); rec.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("large form without files: status %d, want 413", rec.Code)
	}
	if got := objectsIn(t, objects); len(got) != 0 {
		t.Errorf("stored: %v", got)
	}
}

// A form whose file cannot be stored is not taken in.
func TestStorageUnavailable(t *testing.T) {
	f, _ := withFiles(t, true)
	rec := f.upload("k1", map[string]string{"message": "x"}, "plan.pdf", plan)
	if rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" {
		t.Errorf("status %d, headers %v", rec.Code, rec.Header())
	}
	id := store.RequestID("acme", store.SourceForm, "k1")
	if _, err := f.db.Tenant(storetest.Acme).Request(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the request is there: %v", err)
	}
	// The same service takes in what has no files.
	f.request(f.upload("k2", map[string]string{"message": "x"}), http.StatusAccepted)
}

func TestConfig(t *testing.T) {
	for attachments, good := range map[int64]bool{0: true, 1023: true, 1024: false, -1: false} {
		if err := (config{Config: service.Config{MaxBodyBytes: 1024}, MaxAttachmentBytes: attachments}).Validate(); (err == nil) != good {
			t.Errorf("%d: %v", attachments, err)
		}
	}
}
