package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/spanner"
	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/callrail"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/problem"
	"ingestion.internal/shared/secrets"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/tenant"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/wirefake"
)

const (
	audioQueue    = "projects/p/locations/l/queues/audio-processing"
	analysisQueue = "projects/p/locations/l/queues/ai-analysis"
	calendarQueue = "projects/p/locations/l/queues/calendar-sync"
	acmeKey       = "key-of-acme"
	platformKey   = "key-of-the-platform"
	maxBody       = 64 << 10
)

type fixture struct {
	t      *testing.T
	db     *store.DB
	cfg    config
	google *wirefake.Server
	router http.Handler
}

// newFixture starts the service as main does, but for the process.
func newFixture(t *testing.T, change func(*config)) *fixture {
	t.Helper()
	wirefake.Credentials(t)
	google := wirefake.New(t, map[string]string{
		"callrail-signing-key-acme": acmeKey, "callrail-signing-key-bolt": "key-of-bolt", topology.WebhookSecret: platformKey,
	})
	db, storeConfig := storetest.OpenConfig(t)
	cfg := config{
		Config:          service.Config{Project: "p", MaxBodyBytes: maxBody},
		Store:           storeConfig,
		Secrets:         secrets.Config{Endpoint: google.URL, Project: "p", MaxAge: time.Minute},
		Tasks:           pipeline.TasksConfig{Endpoint: google.URL, ServiceAccount: "tasks@p.iam.gserviceaccount.com"},
		AudioProcessing: pipeline.Target{Queue: audioQueue, ServiceURL: "https://audio.example"},
		AIAnalysis:      pipeline.Target{Queue: analysisQueue, ServiceURL: "https://analyzer.example"},
		Calendars:       pipeline.Target{Queue: calendarQueue, ServiceURL: "https://calendars.example"},
		PlatformSecret:  topology.WebhookSecret,
	}
	if change != nil {
		change(&cfg)
	}
	s := service.New(cfg.Config, slog.Default())
	if err := setup(t.Context(), cfg, s); err != nil {
		t.Fatal(err)
	}
	return &fixture{t, db, cfg, google, s.Router}
}

// delivery is one POST; the zero value of a field is a well-formed one's.
type delivery struct {
	path, contentType, key, header, signature, body string
	unsigned                                        bool
}

func (f *fixture) post(d delivery) *httptest.ResponseRecorder {
	f.t.Helper()
	or := func(s, fallback string) string {
		if s == "" {
			return fallback
		}
		return s
	}
	req := httptest.NewRequestWithContext(f.t.Context(), http.MethodPost, or(d.path, "/api/v1/callrail/webhook"), strings.NewReader(d.body))
	req.Header.Set("Content-Type", or(d.contentType, "application/json"))
	if !d.unsigned {
		req.Header.Set(or(d.header, "Signature"), or(d.signature, callrail.Sign([]byte(or(d.key, acmeKey)), []byte(d.body))))
	}
	rec := httptest.NewRecorder()
	f.router.ServeHTTP(rec, req)
	return rec
}

// rows counts what all deliveries have written.
func (f *fixture) rows() (requests, events, stages int64) {
	f.t.Helper()
	client, err := spanner.NewClient(f.t.Context(), f.cfg.Store.Path())
	if err != nil {
		f.t.Fatal(err)
	}
	defer client.Close()
	for table, n := range map[string]*int64{"requests": &requests, "webhook_events": &events, "request_stages": &stages} {
		err := client.Single().Query(f.t.Context(), spanner.NewStatement("SELECT COUNT(*) FROM "+table)).
			Do(func(row *spanner.Row) error { return row.Columns(n) })
		if err != nil {
			f.t.Fatal(err)
		}
	}
	return requests, events, stages
}

func platformPayload(callID string) string {
	return fmt.Sprintf(`{"call_id":%q,"caller_id":"+15550100300","duration":"180","recording_url":"https://r.example/1","tenant_id":"acme","callrail_company_id":"1001"}`, callID)
}

type answer struct {
	RequestID string `json:"request_id"`
	Status    string `json:"status"`
}

func (f *fixture) accepted(rec *httptest.ResponseRecorder, wantStatus int) answer {
	f.t.Helper()
	if rec.Code != wantStatus {
		f.t.Fatalf("status %d, want %d: %s", rec.Code, wantStatus, rec.Body)
	}
	var a answer
	if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil {
		f.t.Fatal(err)
	}
	return a
}

func TestAccepted(t *testing.T) {
	f := newFixture(t, nil)
	tests := []struct {
		name      string
		delivery  delivery
		want      store.Request
		wantQueue string
	}{
		{
			"platform_payload", delivery{header: "x-callrail-signature", body: platformPayload("CAL1")},
			store.Request{OfficeID: "north", CallID: "CAL1", RecordingURL: "https://r.example/1", CustomerPhone: "+15550100300"}, audioQueue,
		},
		{
			"callrail_payload", delivery{body: `{"id":77,"company_id":1001,"duration":"13","answered":false,"voicemail":true,"recording":"https://r.example/2","customer_name":"Robin","timestamp":"2018-02-19T13:41:00.236-05:00"}`},
			store.Request{OfficeID: "north", CallID: "77", RecordingURL: "https://r.example/2", CustomerName: "Robin"}, audioQueue,
		},
		{
			"platform_key", delivery{key: platformKey, body: `{"id":78,"company_id":1002,"recording":"https://r.example/3"}`},
			store.Request{OfficeID: "south", CallID: "78", RecordingURL: "https://r.example/3"}, audioQueue,
		},
		{
			"unanswered", delivery{body: `{"id":79,"company_id":"1001","duration":0,"answered":false,"voicemail":false,"recording":null}`},
			store.Request{OfficeID: "north", CallID: "79"}, analysisQueue,
		},
		{
			"content_type_with_charset", delivery{contentType: "application/json; charset=utf-8", body: platformPayload("CAL2")},
			store.Request{OfficeID: "north", CallID: "CAL2", RecordingURL: "https://r.example/1", CustomerPhone: "+15550100300"}, audioQueue,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := len(f.google.Tasks(tt.wantQueue))
			a := f.accepted(f.post(tt.delivery), http.StatusAccepted)
			got, err := f.db.Tenant(storetest.Acme).Request(t.Context(), a.RequestID)
			if err != nil {
				t.Fatal(err)
			}
			want := tt.want
			want.TenantID, want.RequestID, want.Status = storetest.Acme, a.RequestID, store.StatusReceived
			want.Source, want.CommunicationMode = store.SourceCallRail, store.ModePhoneCall
			got.Payload, got.ReceivedAt, got.UpdatedAt = nil, time.Time{}, time.Time{}
			if diff := cmp.Diff(&want, got); diff != "" {
				t.Errorf("request (-want +got)\n%s", diff)
			}
			if got := len(f.google.Tasks(tt.wantQueue)) - before; got != 1 {
				t.Errorf("%d tasks in %s, want 1", got, tt.wantQueue)
			}
			again := f.accepted(f.post(tt.delivery), http.StatusOK)
			if diff := cmp.Diff(a, again); diff != "" {
				t.Errorf("the duplicate's answer (-first +second)\n%s", diff)
			}
			if got := len(f.google.Tasks(tt.wantQueue)) - before; got != 1 {
				t.Errorf("%d tasks after a duplicate, want 1", got)
			}
		})
	}
	n := int64(len(tests))
	if requests, events, stages := f.rows(); requests != n || events != n || stages != n {
		t.Errorf("%d requests, %d events, %d stages; want %d each", requests, events, stages, n)
	}
}

func TestRefused(t *testing.T) {
	f := newFixture(t, nil)
	if _, err := f.db.Tenant("gone").Sync(t.Context(), tenant.Tenant{
		ID: "gone", State: tenant.Offboarded, Offices: []tenant.Office{{ID: "o", CallRailCompanyID: "3001"}},
	}); err != nil {
		t.Fatal(err)
	}
	good := platformPayload("CAL1")
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%s is not in the payload", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	tests := map[string]struct {
		delivery delivery
		want     *problem.Kind
	}{
		"unknown_tenant":            {delivery{body: replace(`"acme"`, `"nobody"`)}, problem.Unauthorized},
		"unknown_company":           {delivery{body: replace(`"1001"`, `"9"`)}, problem.Unauthorized},
		"company_of_another_tenant": {delivery{body: replace(`"1001"`, `"2001"`)}, problem.Unauthorized},
		"its_key_for_our_company":   {delivery{body: replace(`"acme"`, `"bolt"`), key: "key-of-bolt"}, problem.Unauthorized},
		"offboarded_tenant":         {delivery{body: `{"id":1,"company_id":3001}`, key: platformKey}, problem.Unauthorized},
		"unknown_with_platform_key": {delivery{body: replace(`"1001"`, `"9"`), key: platformKey}, problem.Unauthorized},
		"own_key_not_the_platforms": {delivery{body: good, key: platformKey}, problem.Unauthorized},
		"missing_signature":         {delivery{body: good, unsigned: true}, problem.Unauthorized},
		"garbled_signature":         {delivery{body: good, signature: "%%%not base64"}, problem.Unauthorized},
		"wrong_signature":           {delivery{body: good, key: "other"}, problem.Unauthorized},
		"signature_of_another_body": {delivery{body: good + " ", signature: callrail.Sign([]byte(acmeKey), []byte(good))}, problem.Unauthorized},
		"wrong_content_type":        {delivery{body: good, contentType: "text/plain"}, problem.UnsupportedMedia},
		"form_content_type":         {delivery{body: "a=b", contentType: "application/x-www-form-urlencoded"}, problem.UnsupportedMedia},
		"truncated_json":            {delivery{body: good[:len(good)/2]}, problem.BadRequest},
		"empty_body":                {delivery{}, problem.BadRequest},
		"no_call_id":                {delivery{body: replace(`"CAL1"`, `""`)}, problem.BadRequest},
		"hostile_call_id":           {delivery{body: replace(`"CAL1"`, `"../../x"`)}, problem.BadRequest},
		"50_MB":                     {delivery{body: `{"x":"` + strings.Repeat("a", 50<<20) + `"}`}, problem.TooLarge},
		"just_too_large":            {delivery{body: `{"x":"` + strings.Repeat("a", maxBody) + `"}`}, problem.TooLarge},
		"unknown_route":             {delivery{body: good, path: "/api/v1/callrail"}, problem.NotFound},
	}
	var unauthorized string
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rec := f.post(tt.delivery)
			if rec.Code != tt.want.Status() {
				t.Errorf("status %d, want %d: %s", rec.Code, tt.want.Status(), rec.Body)
			}
			if got := rec.Header().Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("content type %s", got)
			}
			if rec.Code == http.StatusUnauthorized {
				if unauthorized == "" {
					unauthorized = rec.Body.String()
				}
				if got := rec.Body.String(); got != unauthorized {
					t.Errorf("this 401 differs from another: %s and %s", got, unauthorized)
				}
			}
		})
	}
	var several struct{ Detail string }
	if err := json.Unmarshal(f.post(delivery{body: `{"tenant_id":"acme","call_id":"../../x"}`}).Body.Bytes(), &several); err != nil {
		t.Fatal(err)
	}
	if want := "call_id is not an id; callrail_company_id is missing"; several.Detail != want {
		t.Errorf("several mistakes: %q, want %q", several.Detail, want)
	}
	if requests, events, stages := f.rows(); requests+events+stages != 0 {
		t.Errorf("%d requests, %d events, %d stages were written", requests, events, stages)
	}
}

func TestReplayWindow(t *testing.T) {
	f := newFixture(t, func(c *config) { c.ReplayWindow = time.Hour })
	body := func(id int, at time.Time) string {
		return fmt.Sprintf(`{"id":%d,"company_id":1001,"timestamp":%q}`, id, at.Format(time.RFC3339))
	}
	for name, tt := range map[string]struct {
		body string
		want int
	}{
		"fresh":             {body(1, time.Now().Add(-50*time.Minute)), 202},
		"stale":             {body(2, time.Now().Add(-70*time.Minute)), 401},
		"future":            {body(3, time.Now().Add(70*time.Minute)), 401},
		"without_timestamp": {platformPayload("CAL1"), 202},
	} {
		if rec := f.post(delivery{body: tt.body}); rec.Code != tt.want {
			t.Errorf("%s: status %d, want %d", name, rec.Code, tt.want)
		}
	}
}

// A call that is durable is accepted even if its task cannot be made; the next
// delivery, or a sweeper, finds it in the outbox.
func TestQueueUnavailable(t *testing.T) {
	f := newFixture(t, nil)
	f.accepted(f.post(delivery{body: platformPayload("CAL0")}), http.StatusAccepted) // the signing key is now cached
	f.google.Fail(http.StatusServiceUnavailable)
	a := f.accepted(f.post(delivery{body: platformPayload("CAL1")}), http.StatusAccepted)
	unsent, err := f.db.Tenant(storetest.Acme).Unsent(t.Context(), a.RequestID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]store.Step{{Stage: topology.AudioProcessing}}, unsent); diff != "" {
		t.Errorf("outbox (-want +got)\n%s", diff)
	}
	f.google.Fail(0)
	f.accepted(f.post(delivery{body: platformPayload("CAL1")}), http.StatusOK)
	if got := len(f.google.Tasks(audioQueue)); got != 2 {
		t.Errorf("%d tasks, want 2", got)
	}
}

func TestSecretsUnavailable(t *testing.T) {
	f := newFixture(t, nil)
	f.google.Fail(http.StatusForbidden)
	if rec := f.post(delivery{body: platformPayload("CAL1")}); rec.Code != http.StatusServiceUnavailable || strings.Contains(rec.Body.String(), "callrail-signing-key") {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
}

func TestDatabaseUnavailable(t *testing.T) {
	f := newFixture(t, func(*config) {
		// Where the service is to look for the database, nobody listens.
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		t.Setenv("SPANNER_EMULATOR_HOST", l.Addr().String())
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // instead of the handler's own, longer one
	defer cancel()
	body := platformPayload("CAL1")
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/v1/callrail/webhook", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Signature", callrail.Sign([]byte(acmeKey), []byte(body)))
	accept := httptest.NewRecorder()
	f.router.ServeHTTP(accept, req)
	if accept.Code != http.StatusServiceUnavailable || accept.Header().Get("Retry-After") == "" || strings.Contains(accept.Body.String(), "127.0.0.1") {
		t.Errorf("status %d, header %v: %s", accept.Code, accept.Header(), accept.Body)
	}
	for _, path := range []string{"/readyz", "/health"} {
		rec := httptest.NewRecorder()
		f.router.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if rec.Code != http.StatusServiceUnavailable {
			t.Errorf("%s: status %d, want 503", path, rec.Code)
		}
	}
	rec := httptest.NewRecorder()
	f.router.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/healthz", nil))
	if rec.Code != http.StatusOK {
		t.Errorf("/healthz: status %d, want 200", rec.Code)
	}
}
