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
	"sync/atomic"
	"testing"
	"time"

	"github.com/googleapis/gax-go/v2/apierror"
	"google.golang.org/api/googleapi"

	"ingestion.internal/shared/effects"
	"ingestion.internal/shared/integrations"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/secrets"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/tenant"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/workflow"
)

// clock is a settable time.Now.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// document is a secret with one version at a time.
type document struct {
	mu      sync.Mutex
	data    string
	version int // 0: there is none
	err     error
}

func (d *document) set(data string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.data = data
	d.version++
}

func (d *document) AccessValue(_ context.Context, id string) (secrets.Value, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return secrets.Value{}, d.err
	}
	if d.version == 0 || id != topology.IntegrationSecret(storetest.Acme) {
		notFound, _ := apierror.FromError(&googleapi.Error{Code: http.StatusNotFound})
		return secrets.Value{}, notFound
	}
	return secrets.Value{Data: []byte(d.data), Version: fmt.Sprint(d.version)}, nil
}

const (
	goodSettings = `{"hubspot": {"token": "good", "phone_property": "lead_phone", "note_property": "lead_request_id"}, "sendgrid": {"key": "good", "from": "leads@acme.example"}}`
	badSettings  = `{"hubspot": {"token": "bad"}, "sendgrid": {"key": "bad", "from": "leads@acme.example"}}`
)

// vendors is HubSpot and SendGrid on one address: what they keep, and what they
// are told to answer instead.
type vendors struct {
	*httptest.Server
	mu         sync.Mutex
	contacts   map[string]map[string]string // by id value
	notes      map[string]map[string]string
	pushes     []string // calls that wrote contacts: ids, joined
	mails      []mail
	suppressed string // an address
	instead    func(w http.ResponseWriter, r *http.Request) bool
	calls      map[string]int // by method and path
}

type mail struct {
	To, Subject, Text, ID string
}

func newVendors(t *testing.T) *vendors {
	v := &vendors{contacts: map[string]map[string]string{}, notes: map[string]map[string]string{}, calls: map[string]int{}}
	v.Server = httptest.NewServer(http.HandlerFunc(v.serve))
	t.Cleanup(v.Close)
	return v
}

// answerInstead makes f answer, while it returns true; nil ends that.
func (v *vendors) answerInstead(f func(w http.ResponseWriter, r *http.Request) bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.instead = f
}

// on answers calls of a path with a status, a number of times; -1: always.
func on(path string, times, status int, header ...string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, path) || times == 0 {
			return false
		}
		times--
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"message": "as told", "errors": [{"message": "as told"}]}`)
		return true
	}
}

func (v *vendors) serve(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.calls[r.Method+" "+r.URL.Path]++
	if v.instead != nil && v.instead(w, r) {
		return
	}
	if r.Header.Get("Authorization") != "Bearer good" {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"message": "who are you", "errors": [{"message": "who are you"}]}`)
		return
	}
	var in struct {
		Inputs []struct {
			ID         string            `json:"id"`
			Properties map[string]string `json:"properties"`
			TraceID    string            `json:"objectWriteTraceId"`
		} `json:"inputs"`
		Personalizations []struct {
			To         []struct{ Email string }
			CustomArgs map[string]string `json:"custom_args"`
		}
		Subject string
		Content []struct{ Type, Value string }
	}
	if r.Method == http.MethodPost {
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
	}
	answer := map[string]any{}
	switch path := r.URL.Path; {
	case strings.HasSuffix(path, "/batch/upsert"):
		kept := v.contacts
		if strings.Contains(path, "/notes/") {
			kept = v.notes
		}
		results, ids := []any{}, []string{}
		for _, x := range in.Inputs {
			_, known := kept[x.ID]
			kept[x.ID] = x.Properties
			ids = append(ids, x.ID)
			results = append(results, map[string]any{"id": "record-" + x.ID, "new": !known, "properties": x.Properties, "objectWriteTraceId": x.TraceID})
		}
		if strings.Contains(path, "/contacts/") {
			v.pushes = append(v.pushes, strings.Join(ids, " "))
		}
		answer["status"], answer["results"] = "COMPLETE", results
	case strings.HasSuffix(path, "/associate/default"):
		answer["status"], answer["results"] = "COMPLETE", []any{}
	case path == "/v3/mail/send":
		p := in.Personalizations[0]
		v.mails = append(v.mails, mail{p.To[0].Email, in.Subject, in.Content[0].Value, p.CustomArgs["message_id"]})
		w.Header().Set("X-Message-Id", fmt.Sprintf("sg-%d", len(v.mails)))
		w.WriteHeader(http.StatusAccepted)
		return
	case path == "/v3/messages":
		found := []any{}
		for i, m := range v.mails {
			if r.URL.Query().Get("query") == `(unique_args['message_id']="`+m.ID+`")` {
				found = append(found, map[string]any{"msg_id": fmt.Sprintf("sg-%d.filter", i+1)})
			}
		}
		answer["messages"] = found
	case strings.HasPrefix(path, "/v3/suppression/"):
		list := []any{}
		if v.suppressed != "" && strings.HasSuffix(path, "bounces/"+v.suppressed) {
			list = append(list, map[string]any{"email": v.suppressed})
		}
		_ = json.NewEncoder(w).Encode(list)
		return
	case strings.HasPrefix(path, "/v3/asm/suppressions/global/"):
	default:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// world is a dispatcher with everything outside of it.
type world struct {
	t       *testing.T
	cfg     store.Config
	db      *store.DB
	acme    *store.Tenant
	clock   *clock
	secret  *document
	vendors *vendors
	d       *dispatcher
	flow    workflow.Config
}

func newWorld(t *testing.T, change func(*workflow.Config)) *world {
	t.Helper()
	w := &world{t: t, clock: &clock{}, secret: &document{}, vendors: newVendors(t)}
	w.secret.set(goodSettings)
	w.db, w.cfg = storetest.OpenConfig(t, store.WithClock(w.clock.now))
	w.acme = w.db.Tenant(storetest.Acme)
	w.flow = workflow.Default()
	w.flow.CRMIntegration = workflow.CRMIntegration{Enabled: true, Provider: "hubspot", PushImmediately: true,
		FieldMapping: map[string]string{"name": "firstname", "email": "email", "lead_score": "hs_lead_score"}}
	w.flow.EmailNotifications = workflow.EmailNotifications{Enabled: true, Recipients: []string{"sales@acme.example"}}
	if change != nil {
		change(&w.flow)
	}
	if _, err := w.acme.Sync(t.Context(), tenant.Tenant{ID: storetest.Acme, Name: "Acme", State: tenant.Active, Offices: []tenant.Office{
		{ID: "north", Name: "North", IntegrationSecret: topology.IntegrationSecret(storetest.Acme), Workflow: w.flow},
	}}); err != nil {
		t.Fatal(err)
	}
	w.d = w.dispatcher(w.db, nil)
	return w
}

func (w *world) dispatcher(db *store.DB, transport http.RoundTripper) *dispatcher {
	return newDispatcher(db, w.secret, options{
		endpoints: integrations.Endpoints{HubSpot: w.vendors.URL, SendGrid: w.vendors.URL},
		transport: transport, batch: 100, giveUpAfter: 72 * time.Hour, now: w.clock.now, jitter: func(n int64) int64 { return n - 1 },
	})
}

// decided makes a request that is decided, with its effects planned and its
// delivery stage pending.
func (w *world) decided(key string) string {
	w.t.Helper()
	id := store.RequestID(storetest.Acme, store.SourceForm, key)
	score, spam := int64(82), 3.0
	if _, err := storetest.Accept(w.t.Context(), w.acme, store.Request{RequestID: id, Source: store.SourceForm, CommunicationMode: store.ModeForm, OfficeID: "north",
		CustomerName: "Mary " + key, CustomerEmail: key + "@example.com", Payload: []byte(`{}`)}, topology.Workflow); err != nil {
		w.t.Fatal(err)
	}
	c, err := w.acme.Claim(w.t.Context(), id, topology.Workflow, time.Minute, 3)
	if err != nil {
		w.t.Fatal(err)
	}
	decision := string(workflow.Qualified)
	c.Request.Decision, c.Request.LeadScore, c.Request.SpamLikelihood = decision, &score, &spam
	lead, err := effects.Lead(c.Request, c.Office)
	if err != nil {
		w.t.Fatal(err)
	}
	steps := effects.Plan(c.Office.Workflow, lead, w.clock.now(), 15*time.Minute)
	if _, err := w.acme.Finish(w.t.Context(), c, store.Outcome{
		Update:  store.RequestUpdate{Decision: &decision, LeadScore: &score, SpamLikelihood: &spam, Analysis: []byte(`{"summary": "A kitchen."}`)},
		Entries: effects.Entries(steps), Effects: effects.Planned(steps, c.Request), Next: topology.Delivery,
	}); err != nil {
		w.t.Fatal(err)
	}
	return id
}

// deliver posts the delivery task of a request to a dispatcher, as its queue
// does.
func (w *world) deliver(db *store.DB, d *dispatcher, id string) int {
	s := service.New(service.Config{MaxBodyBytes: 1 << 20}, slog.New(slog.DiscardHandler))
	pipeline.NewRunner(db, d, nil, pipeline.StageConfig{MaxAttempts: 5, Lease: time.Minute}).Mount(s.Router)
	rec := httptest.NewRecorder()
	s.Router.ServeHTTP(rec, httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, topology.Delivery.Path(),
		strings.NewReader(`{"tenant_id":"acme","request_id":"`+id+`"}`)))
	return rec.Code
}

// send is deliver by the world's own dispatcher, which must succeed.
func (w *world) send(id string) {
	w.t.Helper()
	if code := w.deliver(w.db, w.d, id); code != http.StatusOK {
		w.t.Fatalf("the delivery answered %d", code)
	}
}

// tick calls the dispatcher as its schedule does, after d has passed.
func (w *world) tick(d time.Duration) run {
	w.t.Helper()
	w.clock.advance(d)
	s := service.New(service.Config{MaxBodyBytes: 1 << 20}, slog.New(slog.DiscardHandler))
	w.d.mount(s.Router)
	rec := httptest.NewRecorder()
	s.Router.ServeHTTP(rec, httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, topology.DispatchPath, nil))
	if rec.Code != http.StatusOK {
		w.t.Fatalf("the dispatcher answered %d: %s", rec.Code, rec.Body)
	}
	var did run
	if err := json.Unmarshal(rec.Body.Bytes(), &did); err != nil {
		w.t.Fatal(err)
	}
	return did
}

// states are the request's effects in words.
func (w *world) states(id string) string {
	w.t.Helper()
	all, err := w.acme.Effects(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	var texts []string
	for _, e := range all {
		texts = append(texts, e.Kind+" "+e.State)
	}
	return strings.Join(texts, ", ")
}

func (w *world) want(id, states string) {
	w.t.Helper()
	if got := w.states(id); got != states {
		w.t.Errorf("effects: %s; want %s", got, states)
	}
}

// effect returns the request's one effect of the kind.
func (w *world) effect(id, kind string) store.Effect {
	w.t.Helper()
	all, err := w.acme.Effects(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range all {
		if e.Kind == kind {
			return e
		}
	}
	w.t.Fatalf("no effect %s of %s", kind, id)
	return store.Effect{}
}

// trail are the audit entries of the delivery.
func (w *world) trail(id string) []string {
	w.t.Helper()
	s, err := w.acme.Story(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	var actions []string
	for _, e := range s.Entries {
		if e.Stage == topology.Delivery {
			actions = append(actions, e.Action)
		}
	}
	return actions
}
