package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/form"
	"ingestion.internal/shared/intake"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/secrets"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/wirefake"
)

// fixture is the service, with what tenant acme lets in.
type fixture struct {
	t      *testing.T
	db     *store.DB
	router http.Handler
	google *wirefake.Server
}

func newFixture(t *testing.T, lets intake.Config) *fixture {
	t.Helper()
	wirefake.Credentials(t)
	google := wirefake.New(t, map[string]string{})
	db, storeConfig := storetest.OpenConfig(t)
	declared := storetest.Manifest().Tenants[0]
	declared.Intake = lets
	if _, err := db.Tenant(storetest.Acme).Sync(t.Context(), declared); err != nil {
		t.Fatal(err)
	}
	s := service.New(service.Config{MaxBodyBytes: 64 << 10}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err := setup(t.Context(), config{
		Config:     service.Config{MaxBodyBytes: 64 << 10},
		Store:      storeConfig,
		Secrets:    secrets.Config{Endpoint: google.URL, Project: "p", MaxAge: time.Minute},
		Tasks:      pipeline.TasksConfig{Endpoint: google.URL, ServiceAccount: "tasks@p.iam.gserviceaccount.com"},
		Documents:  pipeline.Target{Queue: queue, ServiceURL: "https://documents.example"},
		AIAnalysis: pipeline.Target{Queue: queue, ServiceURL: "https://analyzer.example"},
	}, s); err != nil {
		t.Fatal(err)
	}
	return &fixture{t, db, s.Router, google}
}

func (f *fixture) send(method, contentType, body string, headers ...string) *httptest.ResponseRecorder {
	f.t.Helper()
	req := httptest.NewRequestWithContext(f.t.Context(), method, "/api/v1/forms", strings.NewReader(body))
	req.Header.Set("Content-Type", contentType)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	f.router.ServeHTTP(rec, req)
	return rec
}

const (
	encoded = "application/x-www-form-urlencoded"
	page    = "https://www.acme.example"
)

// A form that a browser sends without any script is a form like any other.
func TestPlainForms(t *testing.T) {
	f := newFixture(t, intake.Config{Redirects: []string{page + "/thanks"}, Aliases: map[string]string{"Rückruf": intake.Phone}})
	values := url.Values{"tenant_id": {"acme"}, "First Name": {"Kim"}, "Last-Name": {"Lee"}, "Rückruf": {"(310) 555-0123"}, "rooms": {"kitchen", "bath"},
		"_redirect": {page + "/thanks?from=form"}, "_elapsed_ms": {"9000"}, "website": {""}}
	rec := f.send(http.MethodPost, encoded, values.Encode())
	if rec.Code != http.StatusSeeOther || rec.Header().Get("Location") != page+"/thanks?from=form" {
		t.Fatalf("status %d, location %q: %s", rec.Code, rec.Header().Get("Location"), rec.Body)
	}
	delete(values, "_redirect")
	rec = f.send(http.MethodPost, encoded, values.Encode())
	r := f.request(rec, http.StatusAccepted)
	if r.CustomerName != "Kim Lee" || r.CustomerPhone != "+13105550123" {
		t.Errorf("%+v", r)
	}
	var payload map[string]any
	if err := json.Unmarshal(r.Payload, &payload); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"tenant_id": "acme", "First Name": "Kim", "Last-Name": "Lee", "Rückruf": "(310) 555-0123", "rooms": []any{"kitchen", "bath"}}
	if diff := cmp.Diff(want, payload); diff != "" {
		t.Errorf("payload (-want +got)\n%s", diff)
	}

	var body bytes.Buffer
	parts := multipart.NewWriter(&body)
	for name, value := range map[string]string{"tenant_id": "acme", "message": "A new roof", "_idempotency_key": "k1"} {
		if err := parts.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := parts.Close(); err != nil {
		t.Fatal(err)
	}
	first := f.request(f.send(http.MethodPost, parts.FormDataContentType(), body.String()), http.StatusAccepted)
	again := f.request(f.send(http.MethodPost, parts.FormDataContentType(), body.String()), http.StatusOK)
	if first.RequestID != again.RequestID {
		t.Errorf("the same key made %s and %s", first.RequestID, again.RequestID)
	}
	// The same key for another form would lose one of the two.
	other := strings.Replace(body.String(), "A new roof", "A new door", 1)
	if rec := f.send(http.MethodPost, parts.FormDataContentType(), other); rec.Code != http.StatusUnprocessableEntity {
		t.Errorf("status %d, want 422: %s", rec.Code, rec.Body)
	}

	for name, tt := range map[string]struct {
		contentType, body string
		want              int
	}{
		"redirect_elsewhere": {encoded, "tenant_id=acme&message=x&_redirect=https://evil.example/", http.StatusUnprocessableEntity},
		"text":               {"text/plain", "tenant_id=acme", http.StatusUnsupportedMediaType},
		"no_type":            {"", "{}", http.StatusUnsupportedMediaType},
		"bad_encoding":       {encoded, "tenant_id=%zz", http.StatusBadRequest},
		"no_boundary":        {"multipart/form-data", "x", http.StatusBadRequest},
	} {
		if rec := f.send(http.MethodPost, tt.contentType, tt.body); rec.Code != tt.want {
			t.Errorf("%s: status %d, want %d: %s", name, rec.Code, tt.want, rec.Body)
		}
	}
}

func (f *fixture) request(rec *httptest.ResponseRecorder, want int) *store.Request {
	f.t.Helper()
	if rec.Code != want {
		f.t.Fatalf("status %d, want %d: %s", rec.Code, want, rec.Body)
	}
	var answer struct {
		RequestID string `json:"request_id"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
		f.t.Fatal(err)
	}
	r, err := f.db.Tenant(storetest.Acme).Request(f.t.Context(), answer.RequestID)
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

// What looks like a robot's is taken in, with what makes it look so.
func TestSignals(t *testing.T) {
	f := newFixture(t, intake.Config{})
	r := f.request(f.send(http.MethodPost, "application/json", `{"tenant_id":"acme","message":"x","website":"https://spam.example","_elapsed_ms":120,"_intake":{"signals":["forged"]}}`), http.StatusAccepted)
	want := []string{"a field that people do not see was filled in", "it was filled in within 100ms"}
	if diff := cmp.Diff(want, form.SignalsOf(r.Payload)); diff != "" {
		t.Errorf("signals (-want +got)\n%s", diff)
	}
	r = f.request(f.send(http.MethodPost, "application/json", `{"tenant_id":"acme","message":"x","_intake":{"signals":["forged"]}}`), http.StatusAccepted)
	if got := form.SignalsOf(r.Payload); len(got) != 0 {
		t.Errorf("forged signals: %v", got)
	}
}

// What the platform sees in how a form was sent is no part of what it says: the
// same key with the same form is one, however long the second try took and
// whatever page or robot it came from.
func TestSignalsAreNoPartOfTheForm(t *testing.T) {
	f := newFixture(t, intake.Config{})
	send := func(more string, headers ...string) *httptest.ResponseRecorder {
		return f.send(http.MethodPost, "application/json", `{"tenant_id":"acme","message":"x"`+more+`}`, append(headers, "Idempotency-Key", "k1")...)
	}
	first := f.request(send(`,"_elapsed_ms":9000`, "Origin", page), http.StatusAccepted)
	for _, rec := range []*httptest.ResponseRecorder{
		send(`,"_elapsed_ms":12`, "Origin", page), send(`,"_elapsed_ms":"soon"`), send(``), send(`,"website":"https://spam.example"`, "Origin", "https://shop.acme.example"),
	} {
		if again := f.request(rec, http.StatusOK); again.RequestID != first.RequestID || string(again.Payload) != string(first.Payload) {
			t.Errorf("sent again: %s %s, want %s %s", again.RequestID, again.Payload, first.RequestID, first.Payload)
		}
	}
	if rec := send(`,"rooms":2`); rec.Code != http.StatusUnprocessableEntity {
		t.Errorf("another form: status %d, want 422: %s", rec.Code, rec.Body)
	}
}

// Browsers may send from a tenant's own pages, and read what is answered.
func TestOrigins(t *testing.T) {
	f := newFixture(t, intake.Config{Origins: []string{page}, PerAddress: 3})
	body := `{"tenant_id":"acme","message":"x"}`
	rec := f.send(http.MethodPost, "application/json", body, "Origin", page)
	if rec.Code != http.StatusAccepted || rec.Header().Get("Access-Control-Allow-Origin") != page {
		t.Errorf("own page: status %d, headers %v", rec.Code, rec.Header())
	}
	rec = f.send(http.MethodPost, "application/json", body, "Origin", "https://evil.example")
	if rec.Code != http.StatusForbidden || rec.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("foreign page: status %d, headers %v", rec.Code, rec.Header())
	}
	rec = f.send(http.MethodOptions, "", "", "Origin", page, "Access-Control-Request-Method", "POST")
	if rec.Code != http.StatusNoContent || rec.Header().Get("Access-Control-Allow-Origin") != page || !strings.Contains(rec.Header().Get("Access-Control-Allow-Headers"), "Idempotency-Key") {
		t.Errorf("preflight: status %d, headers %v", rec.Code, rec.Header())
	}
	// Three from one address, then no more for a while.
	for i, want := range []int{http.StatusAccepted, http.StatusAccepted, http.StatusAccepted, http.StatusTooManyRequests} {
		rec = f.send(http.MethodPost, "application/json", body, "X-Forwarded-For", "203.0.113.6")
		if rec.Code != want {
			t.Errorf("request %d: status %d, want %d", i, rec.Code, want)
		}
	}
	if after := rec.Header().Get("Retry-After"); after != "20" {
		t.Errorf("Retry-After %q, want 20", after)
	}
	if rec = f.send(http.MethodPost, "application/json", body, "X-Forwarded-For", "203.0.113.7"); rec.Code != http.StatusAccepted {
		t.Errorf("another address: status %d", rec.Code)
	}
}
