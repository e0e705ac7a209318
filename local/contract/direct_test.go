package contract

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ingestion.internal/shared/intake"
	"ingestion.internal/shared/spannertest"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/wirefake"
)

// TestDirect drives the operations that are not the gateway's: their service is
// asked itself. All of their answers are provoked.
func TestDirect(t *testing.T) {
	d := readDocument(t)
	if len(d.direct) == 0 {
		t.Fatal("the document has no direct operation")
	}
	folder := compile(t, []string{topology.ChatAPI})
	wirefake.Credentials(t)
	google := wirefake.New(t, nil)
	db, config := storetest.OpenConfig(t)
	limitedChat := intake.Config{Chat: intake.Chat{Enabled: true, PerMinute: 1}}
	for _, m := range manifest() {
		m.Intake.Chat = intake.Chat{Enabled: true}
		if m.ID == limited {
			m.Intake = limitedChat
		}
		if _, err := db.Tenant(m.ID).Sync(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	w := &world{t: t, document: d, client: &http.Client{}}
	w.url = start(t, filepath.Join(folder, topology.ChatAPI), directEnvironment(google.URL, config)).address
	answers := &seen{count: map[string]map[int]int{}}

	examples := map[string][]message{}
	type conversation struct {
		ID    string `json:"session_id"`
		Token string `json:"token"`
	}
	var session, over conversation // over: its tenant's limit is used up
	inside := func(m *message, c conversation) {
		if strings.Contains(m.op.path, "{id}") {
			m.path = map[string]string{"id": c.ID}
			m.header.Set("Chat-Token", c.Token)
		}
	}
	byID := func(id string) operation {
		return d.direct[slices.IndexFunc(d.direct, func(o operation) bool { return o.id == id })]
	}
	// In the order of a conversation.
	for _, op := range []operation{byID("openChat"), byID("sayInChat"), byID("readChat"), byID("closeChat")} {
		for _, e := range op.examples {
			m, err := messageOf(op, e)
			if err != nil {
				t.Fatal(err)
			}
			m = m.with("", func(m *message) { inside(m, session) })
			examples[op.id] = append(examples[op.id], m)
			r, err := w.request(m)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.validRequest(m, r); err != nil {
				t.Errorf("%s: the example is not what the operation takes: %v", m.name, err)
			}
			a, err := w.send(m)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.check(m, a); err != nil || a.status != e.Answer {
				t.Errorf("%s: answered %d, not %d: %v", m.name, a.status, e.Answer, err)
			}
			answers.add(op, a.status)
			if op.id == "openChat" {
				if err := json.Unmarshal(a.body, &session); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	opening := examples["openChat"][0].with("limited", func(m *message) { m.body = fmt.Appendf(nil, `{"tenant_id":%q}`, limited) })
	if a, err := w.send(opening); err != nil || json.Unmarshal(a.body, &over) != nil || a.status != http.StatusCreated {
		t.Fatalf("a conversation of the limited tenant: %d %s, %v", a.status, a.body, err)
	}
	changes := map[string]func(*message){
		"wrong_token":  func(m *message) { m.header.Set("Chat-Token", tenantID+".x") },
		"other_tenant": func(m *message) { m.body = []byte(strings.ReplaceAll(string(m.body), tenantID, "nobody-at-all")) },
		"long":         func(m *message) { m.body = fmt.Appendf(nil, `{"number":2,"text":%q}`, strings.Repeat("x", 3000)) },
		"limited": func(m *message) {
			if m.op.id == "openChat" {
				m.body = fmt.Appendf(nil, `{"tenant_id":%q}`, limited)
			}
			inside(m, over)
		},
		"bad_query":   func(m *message) { m.query = "after=x" },
		"wrong_email": func(m *message) { m.body = []byte(strings.Replace(string(m.body), "{", `{"email":"x",`, 1)) },
	}
	for _, op := range d.direct {
		for _, m := range examples[op.id] {
			for _, all := range []map[string]func(*message){strangers, changes, changes} {
				for name, change := range all {
					w.exchange(t, answers, m.with(name, change))
				}
			}
		}
	}
	t.Run("database_away", func(t *testing.T) { away(t, w, answers, d.direct, examples) })
	t.Run("database_in_disorder", func(t *testing.T) {
		empty := storetest.ConfigOf(spannertest.New(t, nil))
		disorder := *w
		disorder.url = start(t, filepath.Join(folder, topology.ChatAPI), directEnvironment(google.URL, empty)).address
		for _, op := range d.direct {
			disorder.exchange(t, answers, examples[op.id][0])
		}
	})
	complete(t, d.direct, nil, answers)
}

// directEnvironment is what the chat's service is configured with.
func directEnvironment(google string, db store.Config) []string {
	return append(environment(google, "", db), "MAX_BODY_BYTES=16384",
		"VERTEX_AI_PROJECT=p", "VERTEX_AI_LOCATION=us-central1", "VERTEX_AI_ENDPOINT="+google, "GEMINI_MODEL=gemini-3.5-flash-lite")
}
