package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"ingestion.internal/shared/gcp"
	"ingestion.internal/shared/intake"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/wirefake"
)

const (
	queue = "projects/p/locations/l/queues/ai-analysis"
	page  = "https://www.acme.example"
)

// fixture is the service behind a real server, with what tenant acme lets in.
type fixture struct {
	t      *testing.T
	db     *store.DB
	google *wirefake.Server
	server *httptest.Server

	storeConfig store.Config
	hours       int // for how many the sweeper's clock is ahead
}

func newFixture(t *testing.T, lets intake.Config) *fixture {
	t.Helper()
	return newFixtureWith(t, lets, nil)
}

// newFixtureWith is newFixture with a model behind the assistant.
func newFixtureWith(t *testing.T, lets intake.Config, model http.HandlerFunc) *fixture {
	t.Helper()
	wirefake.Credentials(t)
	gemini := httptest.NewServer(model)
	t.Cleanup(gemini.Close)
	google := wirefake.New(t, nil)
	db, storeConfig := storetest.OpenConfig(t)
	declared := storetest.Manifest().Tenants[0]
	declared.Intake = lets
	if _, err := db.Tenant(storetest.Acme).Sync(t.Context(), declared); err != nil {
		t.Fatal(err)
	}
	s := service.New(service.Config{MaxBodyBytes: 16 << 10}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err := setup(t.Context(), config{
		Config:        service.Config{MaxBodyBytes: 16 << 10},
		Store:         storeConfig,
		Tasks:         pipeline.TasksConfig{Endpoint: google.URL, ServiceAccount: "tasks@p.iam.gserviceaccount.com"},
		AIAnalysis:    pipeline.Target{Queue: queue, ServiceURL: "https://analyzer.example"},
		VertexProject: "p", VertexLocation: "us-central1", VertexEndpoint: gemini.URL, Model: "gemini-3.5-flash-lite", Stall: time.Second,
	}, s); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Router)
	t.Cleanup(server.Close)
	return &fixture{t: t, db: db, google: google, server: server, storeConfig: storeConfig}
}

func chatting(change func(*intake.Config)) intake.Config {
	c := intake.Config{Origins: []string{page}, Chat: intake.Chat{Enabled: true, PerAddress: 10_000, PerMinute: 100_000}}
	if change != nil {
		change(&c)
	}
	return c
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) into(tb testing.TB, want int, v any) {
	tb.Helper()
	if a.status != want {
		tb.Fatalf("status %d, want %d: %s", a.status, want, a.body)
	}
	if v == nil {
		return
	}
	if err := json.Unmarshal(a.body, v); err != nil {
		tb.Fatalf("%v: %s", err, a.body)
	}
}

func (f *fixture) request(ctx context.Context, method, path, body string, headers ...string) *http.Request {
	f.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, f.server.URL+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return req
}

func (f *fixture) send(method, path, body string, headers ...string) answer {
	f.t.Helper()
	resp, err := http.DefaultClient.Do(f.request(f.t.Context(), method, path, body, headers...))
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, all}
}

// guest is a visitor in a conversation.
type guest struct {
	*fixture
	opened opened
}

func (f *fixture) open(body string) *guest {
	f.t.Helper()
	g := &guest{fixture: f}
	f.send(http.MethodPost, "/api/v1/chat/sessions", body).into(f.t, http.StatusCreated, &g.opened)
	return g
}

func (g *guest) path(rest string) string {
	return "/api/v1/chat/sessions/" + g.opened.SessionID + rest
}

func (g *guest) say(body string, headers ...string) answer {
	g.t.Helper()
	return g.send(http.MethodPost, g.path("/messages"), body, append([]string{tokenHeader, g.opened.Token}, headers...)...)
}

func (g *guest) get(query string, headers ...string) answer {
	g.t.Helper()
	return g.send(http.MethodGet, g.path("/messages")+query, "", append([]string{tokenHeader, g.opened.Token}, headers...)...)
}

func (g *guest) closeChat() closed {
	g.t.Helper()
	var c closed
	g.send(http.MethodPost, g.path("/close"), "", tokenHeader, g.opened.Token).into(g.t, http.StatusOK, &c)
	return c
}

// event is a server-sent one.
type event struct{ id, name, data string }

// eventsOf reads a whole stream. Comments are left out.
func eventsOf(body []byte) []event {
	var all []event
	var e event
	lines := bufio.NewScanner(bytes.NewReader(body))
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case lines.Text() == "" && e != (event{}):
			all, e = append(all, e), event{}
		case name == "id":
			e.id = value
		case name == "event":
			e.name = value
		case name == "data":
			e.data = value
		}
	}
	return all
}

// drain works all stages of the conversation's request, as workers would.
func (f *fixture) drain(requestID string) {
	f.t.Helper()
	h := f.db.Tenant(storetest.Acme)
	for range 20 {
		all, err := h.Stages(f.t.Context(), requestID)
		if err != nil {
			f.t.Fatal(err)
		}
		i := slices.IndexFunc(all, func(s store.StageStatus) bool { return s.State == store.StatePending })
		if i < 0 {
			return
		}
		c, err := h.Claim(f.t.Context(), requestID, all[i].Stage, time.Minute, 50)
		if err != nil || c.State != store.Claimed {
			f.t.Fatalf("claim %s: %+v, %v", all[i].Stage, c, err)
		}
		outcome := store.Outcome{Update: store.RequestUpdate{Analysis: c.Request.Payload}, Next: topology.Workflow}
		if c.Stage == topology.Workflow {
			decision := "decided"
			outcome = store.Outcome{Update: store.RequestUpdate{Decision: &decision}}
		}
		if _, err := h.Finish(f.t.Context(), c, outcome); err != nil {
			f.t.Fatal(err)
		}
	}
	f.t.Fatal("the stages do not come to an end")
}

// sweep is what the sweeper does an hour after its last run: conversations have
// been quiet for long.
func (f *fixture) sweep() pipeline.ChatSweep {
	f.t.Helper()
	f.hours++
	ahead := time.Duration(f.hours) * time.Hour
	later, err := store.Open(f.t.Context(), f.storeConfig, store.WithClock(func() time.Time { return time.Now().Add(ahead) }))
	if err != nil {
		f.t.Fatal(err)
	}
	defer later.Close()
	client, err := gcp.CloudTasks(f.t.Context(), f.google.URL)
	if err != nil {
		f.t.Fatal(err)
	}
	defer client.Close()
	enqueuer := pipeline.NewEnqueuer(client, pipeline.TasksConfig{ServiceAccount: "tasks@p.iam.gserviceaccount.com"},
		pipeline.Targets{topology.AIAnalysis.Queue(): {Queue: queue, ServiceURL: "https://analyzer.example"}})
	did, err := pipeline.NewSweeper(later, enqueuer, 100).SweepChats(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	return did
}

func (f *fixture) stored(requestID string) *store.Request {
	f.t.Helper()
	r, err := f.db.Tenant(storetest.Acme).Request(f.t.Context(), requestID)
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}
