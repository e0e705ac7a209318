package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ingestion.internal/shared/intake"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
)

const acknowledgement = "Thank you, we have your message. A colleague will get back to you."

// A conversation is taken in, in order and once, and becomes one request.
func TestConversation(t *testing.T) {
	f := newFixture(t, chatting(nil))
	g := f.open(`{"tenant_id":"acme","office_id":"south","page":"https://www.acme.example/kitchens","zip":"90210"}`)
	if !strings.HasPrefix(g.opened.Token, "acme.") || g.opened.Greeting == "" || g.opened.ExpectedNumber != 1 || g.opened.Assistant || g.opened.Streams || g.opened.MaxMessageChars != 2000 {
		t.Errorf("opened: %+v", g.opened)
	}
	var got answered
	g.say(`{"number":1,"text":"Do you do kitchens?","name":"Robin"}`).into(t, http.StatusOK, &got)
	want := answered{acceptance{SessionID: g.opened.SessionID, Number: 1, ExpectedNumber: 2}, reply{acknowledgement, "notice", "done"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(answered{})); diff != "" {
		t.Errorf("first (-want +got)\n%s", diff)
	}
	g.say(`{"number":1,"text":"Do you do kitchens?"}`).into(t, http.StatusOK, &got)
	want.Duplicate = true
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(answered{})); diff != "" {
		t.Errorf("again (-want +got)\n%s", diff)
	}
	g.say(`{"number":1,"text":"Something else"}`).into(t, http.StatusUnprocessableEntity, nil)
	var gap struct {
		Expected int64 `json:"expected_number"`
	}
	g.say(`{"number":3,"text":"x"}`).into(t, http.StatusConflict, &gap)
	if gap.Expected != 2 {
		t.Errorf("a gap: %d is expected, want 2", gap.Expected)
	}
	g.say(`{"number":2,"text":"My number is (310) 555-0142","phone":"(310) 555-0142"}`).into(t, http.StatusOK, nil)

	var all conversation
	g.get("?after=1").into(t, http.StatusOK, &all)
	if len(all.Messages) != 1 || all.Messages[0].Number != 2 || all.Messages[0].Answer.State != "done" || all.State != "open" || all.ExpectedNumber != 3 {
		t.Errorf("the rest: %+v", all)
	}
	if n := f.sweep(); n.Recorded != 1 {
		t.Errorf("an hour later: %+v", n)
	}
	if n := f.sweep(); n.Found != 0 {
		t.Errorf("once more: %+v", n)
	}
	end := g.closeChat()
	f.drain(end.RequestID)
	r := f.stored(end.RequestID)
	wantRequest := &store.Request{
		TenantID: "acme", RequestID: end.RequestID, OfficeID: "south", Source: store.SourceChat, CommunicationMode: store.ModeChat,
		Status: store.StatusCompleted, Decision: "decided", CustomerName: "Robin", CustomerPhone: "+13105550142", PostalCode: "90210",
	}
	if diff := cmp.Diff(wantRequest, r, cmpopts.IgnoreFields(store.Request{}, "Payload", "Analysis", "ReceivedAt", "UpdatedAt")); diff != "" {
		t.Errorf("request (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"visitor: Do you do kitchens?", "assistant: " + acknowledgement, "visitor: My number is (310) 555-0142", "assistant: " + acknowledgement}, turns(t, r)); diff != "" {
		t.Errorf("turns (-want +got)\n%s", diff)
	}

	// A later message opens it again, and begins another round.
	g.say(`{"number":3,"text":"And bathrooms?"}`).into(t, http.StatusOK, &got)
	if !got.Reopened {
		t.Error("it was not opened again")
	}
	// The request heard of the conversation not long ago: it is not analysed
	// with every close.
	again := g.closeChat()
	if again.RecordsAt == nil || again.RecordsAt.Before(time.Now()) || again.RequestID != end.RequestID {
		t.Errorf("closed again: %+v, want request %s, later", again, end.RequestID)
	}
	if r := f.stored(end.RequestID); r.Revision != 0 || len(turns(t, r)) != 4 {
		t.Errorf("closed again: revision %d, %d turns", r.Revision, len(turns(t, r)))
	}
	if n := f.sweep(); n.Recorded != 1 {
		t.Errorf("when it is due: %+v", n)
	}
	f.drain(end.RequestID)
	if r = f.stored(end.RequestID); r.Revision != 1 || len(turns(t, r)) != 6 || r.Status != store.StatusCompleted {
		t.Errorf("after another message: %+v", r)
	}
	g.closeChat()
	if r := f.stored(end.RequestID); r.Revision != 1 {
		t.Errorf("closing without a word changed the request: revision %d", r.Revision)
	}
}

// A conversation in which nothing was said leaves no request.
func TestNothingSaid(t *testing.T) {
	f := newFixture(t, chatting(nil))
	if end := f.open(`{"tenant_id":"acme"}`).closeChat(); end.RequestID != "" || end.State != "closed" {
		t.Errorf("%+v", end)
	}
	if n := f.sweep(); n.Found != 0 {
		t.Errorf("%+v", n)
	}
}

func turns(tb testing.TB, r *store.Request) []string {
	tb.Helper()
	var p struct {
		Messages []struct{ From, Text string }
	}
	if err := json.Unmarshal(r.Payload, &p); err != nil {
		tb.Fatal(err)
	}
	var all []string
	for _, m := range p.Messages {
		all = append(all, m.From+": "+m.Text)
	}
	return all
}

func TestRefused(t *testing.T) {
	f := newFixture(t, chatting(func(c *intake.Config) { c.Chat.MaxMessages = 1 }))
	const sessions = "/api/v1/chat/sessions"
	for name, tt := range map[string]struct {
		body string
		want int
	}{
		"unknown_tenant":     {`{"tenant_id":"nobody"}`, 401},
		"impossible_tenant":  {`{"tenant_id":"../x"}`, 401},
		"tenant_without":     {`{"tenant_id":"bolt"}`, 401},
		"office_of_another":  {`{"tenant_id":"acme","office_id":"main"}`, 401},
		"no_tenant":          {`{}`, 422},
		"no_address":         {`{"tenant_id":"acme","email":"x"}`, 422},
		"no_number":          {`{"tenant_id":"acme","phone":"12"}`, 422},
		"long_page":          {`{"tenant_id":"acme","page":"` + strings.Repeat("x", 2049) + `"}`, 422},
		"wrong_type":         {`{"tenant_id":7}`, 400},
		"truncated":          {`{"tenant_id":`, 400},
		"null":               {`null`, 400},
		"array":              {`[]`, 400},
		"deep":               {`{"tenant_id":"acme","x":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`, 400},
		"large":              {`{"tenant_id":"acme","x":"` + strings.Repeat("x", 16<<10) + `"}`, 413},
		"header_in_an_email": {`{"tenant_id":"acme","email":"a@b.example\r\nBcc: x@y.example"}`, 422},
	} {
		if got := f.send(http.MethodPost, sessions, tt.body); got.status != tt.want || got.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: status %d, want %d: %s", name, got.status, tt.want, got.body)
		}
	}
	if got := f.send(http.MethodPost, sessions, `{"tenant_id":"acme"}`, "Content-Type", "text/plain"); got.status != http.StatusUnsupportedMediaType {
		t.Errorf("text: status %d", got.status)
	}
	if got := f.send(http.MethodPost, sessions, `{"tenant_id":"acme"}`, "Origin", "https://evil.example"); got.status != http.StatusForbidden {
		t.Errorf("foreign page: status %d", got.status)
	}
	if got := f.send(http.MethodPost, sessions, `{"tenant_id":"acme"}`, "Origin", page); got.status != http.StatusCreated || got.header.Get("Access-Control-Allow-Origin") != page {
		t.Errorf("own page: status %d", got.status)
	}
	pre := f.send(http.MethodOptions, sessions+"/x/messages", "", "Origin", page, "Access-Control-Request-Method", "POST")
	if pre.status != http.StatusNoContent || !strings.Contains(pre.header.Get("Access-Control-Allow-Headers"), tokenHeader) {
		t.Errorf("preflight: %d %v", pre.status, pre.header)
	}

	g, other := f.open(`{"tenant_id":"acme"}`), f.open(`{"tenant_id":"acme"}`)
	good := `{"number":1,"text":"x"}`
	for name, tt := range map[string]struct {
		path, token, body string
		want              int
	}{
		"no_token":            {g.path("/messages"), "", good, 401},
		"wrong_token":         {g.path("/messages"), "acme.x", good, 401},
		"token_of_another":    {g.path("/messages"), other.opened.Token, good, 401},
		"token_with_tenant":   {g.path("/messages"), strings.Replace(g.opened.Token, "acme", "bolt", 1), good, 401},
		"no_such_session":     {sessions + "/00000000-0000-0000-0000-000000000000/messages", g.opened.Token, good, 401},
		"impossible_session":  {sessions + "/x/messages", g.opened.Token, good, 401},
		"close_without_token": {g.path("/close"), "acme.x", "", 401},
		"close_with_nonsense": {g.path("/close"), g.opened.Token, "[", 400},
		"no_number":           {g.path("/messages"), g.opened.Token, `{"text":"x"}`, 400},
		"negative":            {g.path("/messages"), g.opened.Token, `{"number":-1,"text":"x"}`, 400},
		"fraction":            {g.path("/messages"), g.opened.Token, `{"number":1.5,"text":"x"}`, 400},
		"empty":               {g.path("/messages"), g.opened.Token, `{"number":1,"text":" \n"}`, 400},
		"long":                {g.path("/messages"), g.opened.Token, `{"number":1,"text":"` + strings.Repeat("é", 2001) + `"}`, 422},
		"huge":                {g.path("/messages"), g.opened.Token, `{"number":1,"text":"` + strings.Repeat("x", 17<<10) + `"}`, 413},
	} {
		if got := f.send(http.MethodPost, tt.path, tt.body, tokenHeader, tt.token); got.status != tt.want {
			t.Errorf("%s: status %d, want %d: %s", name, got.status, tt.want, got.body)
		}
	}
	if got := g.get("?after=x"); got.status != http.StatusBadRequest {
		t.Errorf("after nothing: status %d", got.status)
	}
	g.say(`{"number":1,"text":"`+strings.Repeat("é", 2000)+`"}`).into(t, http.StatusOK, nil)
	g.say(`{"number":2,"text":"x"}`).into(t, http.StatusUnprocessableEntity, nil) // the most messages
}

// A conversation takes so many characters and no more, however short its
// messages are; what it has is there.
func TestFull(t *testing.T) {
	f := newFixture(t, chatting(nil))
	g := f.open(`{"tenant_id":"acme"}`)
	text := strings.Repeat("é", maxMessageChars)
	for n := range maxConversationChars / maxMessageChars {
		g.say(fmt.Sprintf(`{"number":%d,"text":%q}`, n+1, text)).into(t, http.StatusOK, nil)
	}
	const more = maxConversationChars/maxMessageChars + 1
	var refused struct{ Full bool }
	g.say(fmt.Sprintf(`{"number":%d,"text":"x"}`, more)).into(t, http.StatusUnprocessableEntity, &refused)
	if !refused.Full {
		t.Error("the page is not told that it has to begin another conversation")
	}
	var last answered
	g.say(fmt.Sprintf(`{"number":%d,"text":%q}`, more-1, text)).into(t, http.StatusOK, &last)
	if !last.Duplicate {
		t.Error("the last message is not there")
	}
}

// Whoever says a word and closes, again and again, has the conversation
// analysed once and not each time.
func TestSayAndClose(t *testing.T) {
	f := newFixture(t, chatting(nil))
	g := f.open(`{"tenant_id":"acme"}`)
	var id string
	for n := range 5 {
		g.say(fmt.Sprintf(`{"number":%d,"text":"x"}`, n+1)).into(t, http.StatusOK, nil)
		id = g.closeChat().RequestID
		f.drain(id)
	}
	if r := f.stored(id); r.Revision != 0 || len(turns(t, r)) != 2 {
		t.Errorf("revision %d, %d turns", r.Revision, len(turns(t, r)))
	}
	if n := f.sweep(); n.Recorded != 1 {
		t.Errorf("when it is due: %+v", n)
	}
	f.drain(id)
	if r := f.stored(id); r.Revision != 1 || len(turns(t, r)) != 10 {
		t.Errorf("then: revision %d, %d turns", r.Revision, len(turns(t, r)))
	}
}

// Too much of a tenant's or an address's chat is refused, and told when to come
// again; the bounds are the chat's own.
func TestLimits(t *testing.T) {
	f := newFixture(t, chatting(func(c *intake.Config) { c.Chat.PerMinute, c.PerMinute = 3, 1 }))
	for i, want := range []int{201, 201, 201, 429} {
		got := f.send(http.MethodPost, "/api/v1/chat/sessions", `{"tenant_id":"acme"}`, "Origin", page)
		if got.status != want {
			t.Errorf("request %d: status %d, want %d", i, got.status, want)
		}
		if want == 429 && (got.header.Get("Retry-After") != "20" || got.header.Get("Access-Control-Allow-Origin") != page) {
			t.Errorf("%v", got.header)
		}
	}
}

// A token that somebody made up takes nothing of the tenant's limit.
func TestLimitsAreOfTheProven(t *testing.T) {
	f := newFixture(t, chatting(func(c *intake.Config) { c.Chat.PerMinute = 3 }))
	g := f.open(`{"tenant_id":"acme"}`)
	for range 5 {
		got := f.send(http.MethodGet, g.path("/messages"), "", tokenHeader, "acme.x")
		if got.status != http.StatusUnauthorized {
			t.Errorf("made up: status %d", got.status)
		}
	}
	for i, want := range []int{200, 200, 429} {
		if got := g.get(""); got.status != want {
			t.Errorf("request %d: status %d, want %d", i, got.status, want)
		}
	}
}

// However a page's messages come, which answers get lost on their way, how
// often each is sent and when the conversation pauses: the request says the
// same in the end.
func TestConversationsAreOrderIndependent(t *testing.T) {
	f := newFixture(t, chatting(nil))
	said := []string{
		`{"number":1,"text":"Do you do kitchens?","name":"Robin"}`,
		`{"number":2,"text":"In Beverly Hills","zip":"90210"}`,
		`{"number":3,"text":"Call me","phone":"310 555 0142"}`,
		`{"number":4,"text":"Or write","phone":"310 555 0199","email":"Robin@Example.com"}`,
		`{"number":5,"text":"Thanks"}`,
	}
	ordered := f.open(`{"tenant_id":"acme","page":"https://www.acme.example/"}`)
	for _, m := range said {
		ordered.say(m).into(t, http.StatusOK, nil)
	}
	id := ordered.closeChat().RequestID
	f.drain(id)
	want := f.stored(id)
	for seed := range uint64(8) {
		random := rand.New(rand.NewPCG(seed, 7))
		g := f.open(`{"tenant_id":"acme","page":"https://www.acme.example/"}`)
		kept := 0
		for kept < len(said) {
			// Any of the messages, often at once: those that are known are
			// known, those that are too early are sent again.
			var wait sync.WaitGroup
			for range 1 + random.IntN(3) {
				number := random.IntN(len(said))
				wait.Go(func() {
					if got := g.say(said[number]); got.status != http.StatusOK && got.status != http.StatusConflict {
						t.Errorf("status %d: %s", got.status, got.body)
					}
				})
			}
			wait.Wait()
			var all conversation
			g.get("").into(t, http.StatusOK, &all)
			kept = len(all.Messages)
			switch random.IntN(4) {
			case 0:
				g.closeChat()
			case 1:
				f.sweep()
			case 2:
				if kept > 0 && random.IntN(2) == 0 {
					f.sweep()
					f.drain(g.closeChat().RequestID)
				}
			}
		}
		id := g.closeChat().RequestID
		f.sweep()
		f.drain(id)
		got := f.stored(id)
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(store.Request{}, "RequestID", "Payload", "Analysis", "Revision", "ReceivedAt", "UpdatedAt")); diff != "" {
			t.Errorf("seed %d (-want +got)\n%s", seed, diff)
		}
		if diff := cmp.Diff(turns(t, want), turns(t, got)); diff != "" {
			t.Errorf("seed %d: turns (-want +got)\n%s", seed, diff)
		}
		if string(got.Analysis) != string(got.Payload) {
			t.Errorf("seed %d: the last analysis is not of all that was said", seed)
		}
	}
}

// Nothing that was said is lost where whoever was to answer it died.
func TestUnansweredIsRecorded(t *testing.T) {
	f := newFixture(t, chatting(nil))
	g := f.open(`{"tenant_id":"acme"}`)
	h := f.db.Tenant(storetest.Acme)
	if _, err := h.Say(t.Context(), g.opened.SessionID, store.ChatMessage{Number: 1, Text: "Hello?"}, "somebody", time.Hour/2, store.ChatBounds{Quiet: time.Minute, Messages: 10, Chars: 100}); err != nil {
		t.Fatal(err)
	}
	end := g.closeChat()
	if _, err := h.Request(t.Context(), end.RequestID); err == nil {
		t.Error("it was recorded while somebody was answering")
	}
	if n := f.sweep(); n.Recorded != 1 {
		t.Errorf("an hour later: %+v", n)
	}
	if got := turns(t, f.stored(end.RequestID)); len(got) != 2 || got[0] != "visitor: Hello?" {
		t.Errorf("%v", got)
	}
	var all conversation
	g.get("").into(t, http.StatusOK, &all)
	if all.Messages[0].Answer.By != "notice" {
		t.Errorf("%+v", all.Messages)
	}
}

func FuzzMessage(f *testing.F) {
	for _, seed := range []string{`{"number":1,"text":"x"}`, `{"number":1e3,"text":"\ud800","phone":"1","email":"a@b.example"}`, `[`, `{"number":"1"}`, `{"tenant_id":"acme","page":"\u0000"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if m, err := parseMessage(body); err == nil {
			if m.Number < 1 || strings.TrimSpace(m.Text) == "" || len([]rune(m.Text)) > maxMessageChars {
				t.Errorf("%q was taken for %+v", body, m)
			}
			if _, err := json.Marshal(m); err != nil {
				t.Error(err)
			}
		}
		if s, err := parseSession(body); err == nil && s.TenantID == "" {
			t.Errorf("%q names no tenant", body)
		}
	})
}

func TestLastEvent(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]place{
		"": {}, "x": {}, "1": {}, "0.5": {}, "-1.2": {}, "1.-2": {}, "1.x": {}, "1.2.3": {},
		"1.0": {number: 1}, "12.34": {number: 12, offset: 34}, "3.end": {number: 3, offset: 1 << 30, end: true},
	} {
		r := &http.Request{Header: http.Header{"Last-Event-Id": {id}}}
		if got := lastEvent(r); got != want {
			t.Errorf("%q: %+v, want %+v", id, got, want)
		}
	}
}
