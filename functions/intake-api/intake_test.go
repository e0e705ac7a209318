package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/wirefake"
)

const queue = "projects/p/locations/l/queues/ai-analysis"

func TestForms(t *testing.T) {
	wirefake.Credentials(t)
	google := wirefake.New(t, nil)
	db, storeConfig := storetest.OpenConfig(t)
	if err := db.Tenant(storetest.Bolt).Deactivate(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := service.New(service.Config{MaxBodyBytes: 64 << 10}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err := setup(t.Context(), config{
		Config:     service.Config{MaxBodyBytes: 64 << 10},
		Store:      storeConfig,
		Tasks:      pipeline.TasksConfig{Endpoint: google.URL, ServiceAccount: "tasks@p.iam.gserviceaccount.com"},
		Documents:  pipeline.Target{Queue: queue, ServiceURL: "https://documents.example"},
		AIAnalysis: pipeline.Target{Queue: queue, ServiceURL: "https://analyzer.example"},
	}, s); err != nil {
		t.Fatal(err)
	}
	post := func(body, key string) *httptest.ResponseRecorder {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v1/forms", strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		if key != "" {
			req.Header.Set("Idempotency-Key", key)
		}
		rec := httptest.NewRecorder()
		s.Router.ServeHTTP(rec, req)
		return rec
	}
	requestID := func(t *testing.T, rec *httptest.ResponseRecorder, want int) string {
		t.Helper()
		if rec.Code != want {
			t.Fatalf("status %d, want %d: %s", rec.Code, want, rec.Body)
		}
		var answer struct {
			RequestID string `json:"request_id"`
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
		return answer.RequestID
	}

	t.Run("accepted", func(t *testing.T) {
		body := `{"tenant_id":"acme","office_id":"south","full_name":" Kim ","email":"kim@example.com","zip":90210,"message":"A new kitchen","budget":{"max":40000}}`
		id := requestID(t, post(body, ""), http.StatusAccepted)
		got, err := db.Tenant(storetest.Acme).Request(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		want := &store.Request{
			TenantID: "acme", RequestID: id, OfficeID: "south", Source: store.SourceForm, CommunicationMode: store.ModeForm,
			Status: store.StatusReceived, CustomerName: "Kim", CustomerEmail: "kim@example.com", PostalCode: "90210",
		}
		var payload, wantPayload any
		if err := json.Unmarshal(got.Payload, &payload); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(body), &wantPayload); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(wantPayload, payload); diff != "" {
			t.Errorf("payload (-want +got)\n%s", diff)
		}
		got.Payload, got.ReceivedAt, got.UpdatedAt = nil, time.Time{}, time.Time{}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("request (-want +got)\n%s", diff)
		}
		if n := len(google.Tasks(queue)); n != 1 {
			t.Errorf("%d tasks, want 1", n)
		}
	})
	t.Run("sent_twice", func(t *testing.T) {
		body := `{"tenant_id":"acme","phone":"+1 555 010 0200"}`
		first := requestID(t, post(body, "key-1"), http.StatusAccepted)
		if again := requestID(t, post(body, "key-1"), http.StatusOK); again != first {
			t.Errorf("the same key made %s and %s", first, again)
		}
		if other := requestID(t, post(body, "key-2"), http.StatusAccepted); other == first {
			t.Error("another key made the same request")
		}
		if other := requestID(t, post(body, ""), http.StatusAccepted); other == first {
			t.Error("no key made the same request")
		}
	})

	refused := map[string]struct {
		body, key string
		want      int
		detail    string
	}{
		"unknown_tenant":      {body: `{"tenant_id":"nobody","message":"x"}`, want: 401},
		"inactive_tenant":     {body: `{"tenant_id":"bolt","message":"x"}`, want: 401},
		"impossible_tenant":   {body: `{"tenant_id":"../x","message":"x"}`, want: 401},
		"office_of_another":   {body: `{"tenant_id":"acme","office_id":"main","message":"x"}`, want: 401},
		"no_tenant":           {body: `{"message":"x"}`, want: 422, detail: "tenant_id is missing"},
		"nothing_to_answer":   {body: `{"tenant_id":"acme","name":"Kim","message":" "}`, want: 422, detail: "one of phone, email and message is needed"},
		"every_mistake":       {body: `{"tenant_id":"acme","office_id":"a b","email":"x","phone":"12","name":[]}`, want: 422, detail: "name must be a string; office_id is not an id; email is not an address; phone is not a telephone number"},
		"long_name":           {body: `{"tenant_id":"acme","message":"x","name":"` + strings.Repeat("é", 201) + `"}`, want: 422, detail: "name is longer than 200 characters"},
		"email_with_a_name":   {body: `{"tenant_id":"acme","email":"Kim <kim@example.com>"}`, want: 422, detail: "email is not an address"},
		"header_in_the_email": {body: `{"tenant_id":"acme","email":"kim@example.com\r\nBcc: x@example.com"}`, want: 422, detail: "email is not an address"},
		"too_deep":            {body: `{"tenant_id":"acme","message":"x","y":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, want: 422, detail: "the body is nested deeper than 32 levels"},
		"truncated":           {body: `{"tenant_id":`, want: 400, detail: "the body is not a form: it is not a JSON object"},
		"array":               {body: `[]`, want: 400, detail: "the body is not a form: it is not a JSON object"},
		"null":                {body: `null`, want: 400, detail: "the body is not a form: it is not a JSON object"},
		"bad_key":             {body: `{"tenant_id":"acme","message":"x"}`, key: "a b", want: 400, detail: "Idempotency-Key must be 1 to 255 printable characters"},
		"too_large":           {body: `{"tenant_id":"acme","message":"` + strings.Repeat("x", 64<<10) + `"}`, want: 413, detail: "at most 65536 bytes are accepted"},
	}
	for name, tt := range refused {
		t.Run(name, func(t *testing.T) {
			rec := post(tt.body, tt.key)
			var doc struct{ Detail string }
			if err := json.Unmarshal(rec.Body.Bytes(), &doc); err != nil {
				t.Fatal(err)
			}
			if rec.Code != tt.want || doc.Detail != tt.detail {
				t.Errorf("status %d, detail %q; want %d, %q", rec.Code, doc.Detail, tt.want, tt.detail)
			}
		})
	}
}
