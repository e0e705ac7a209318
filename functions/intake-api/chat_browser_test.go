//go:build browser

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/browsertest"
)

// chatService speaks the chat's HTTP contract as the widget uses it, with what
// goes wrong on the way. The real service is another program; that both speak
// the same is shown by local/e2e.
type chatService struct {
	*httptest.Server
	site *httptest.Server

	mu        sync.Mutex
	json      bool     // the tenant does not want streams
	sessions  int      // that were opened
	valid     int      // the only session whose token is good
	messages  []string // taken in, by number
	posts     []string // "number last-event-id" of each try
	cuts      []int    // after how many pieces the next answers break off
	problems  int      // answers that cannot be had
	hold      chan struct{}
	answering func(number int) []string // the pieces of an answer
}

func newChatService(t *testing.T) *chatService {
	t.Helper()
	c := &chatService{answering: func(number int) []string {
		return []string{"Yes, ", "we do ", fmt.Sprintf("that (%d).", number)}
	}}
	scripts := chi.NewRouter()
	if err := mountScripts(scripts); err != nil {
		t.Fatal(err)
	}
	platform := httptest.NewServer(scripts)
	c.site = httptest.NewServer(pages(t, func() pageData { return pageData{Gateway: platform.URL, Chat: c.URL} }))
	r := chi.NewRouter()
	r.Use(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Access-Control-Allow-Origin", c.site.URL)
			w.Header().Set("Access-Control-Expose-Headers", "Retry-After, X-Request-Id")
			w.Header().Set("Access-Control-Allow-Headers", "Content-Type, Chat-Token, Last-Event-ID, Accept")
			if r.Method == http.MethodOptions {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	none := func(http.ResponseWriter, *http.Request) {} // the middleware has answered
	r.Options("/api/v1/chat/sessions", none)
	r.Options("/api/v1/chat/sessions/{id}/messages", none)
	r.Post("/api/v1/chat/sessions", c.open)
	r.Post("/api/v1/chat/sessions/{id}/messages", c.say)
	r.Get("/api/v1/chat/sessions/{id}/messages", c.conversation)
	c.Server = httptest.NewServer(r)
	t.Cleanup(func() {
		c.release()
		c.Close()
		c.site.Close()
		platform.Close()
	})
	return c
}

// holding makes answers wait, after their second piece, until release.
func (c *chatService) holding() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hold = make(chan struct{})
}

func (c *chatService) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hold != nil {
		close(c.hold)
		c.hold = nil
	}
}

func (c *chatService) terms() map[string]any {
	return map[string]any{"streams": !c.json, "assistant": true, "greeting": "Hello! How can we help?", "max_message_chars": 2000, "expected_number": len(c.messages) + 1}
}

func reply(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

func (c *chatService) open(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessions++
	c.valid = c.sessions
	answer := c.terms()
	answer["session_id"], answer["token"] = fmt.Sprintf("session-%d", c.sessions), fmt.Sprintf("acme.%d", c.sessions)
	reply(w, http.StatusCreated, answer)
}

// proven answers 401 to whoever has no token that is good.
func (c *chatService) proven(w http.ResponseWriter, r *http.Request) bool {
	if r.Header.Get("Chat-Token") == fmt.Sprintf("acme.%d", c.valid) && chi.URLParam(r, "id") == fmt.Sprintf("session-%d", c.valid) {
		return true
	}
	reply(w, http.StatusUnauthorized, map[string]any{"status": 401})
	return false
}

func (c *chatService) conversation(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.proven(w, r) {
		return
	}
	answer := c.terms()
	answer["session_id"], answer["state"] = chi.URLParam(r, "id"), "open"
	all := []map[string]any{}
	for i, text := range c.messages {
		state, said := "done", strings.Join(c.answering(i+1), "")
		if c.hold != nil && i == len(c.messages)-1 {
			state, said = "pending", ""
		}
		all = append(all, map[string]any{"number": i + 1, "text": text, "answer": map[string]any{"text": said, "by": "assistant", "state": state}})
	}
	answer["messages"] = all
	reply(w, http.StatusOK, answer)
}

func (c *chatService) say(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Number int
		Text   string
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		reply(w, http.StatusBadRequest, map[string]any{"detail": err.Error()})
		return
	}
	c.mu.Lock()
	if !c.proven(w, r) {
		c.mu.Unlock()
		return
	}
	last := r.Header.Get("Last-Event-ID")
	c.posts = append(c.posts, strings.TrimSpace(fmt.Sprintf("%d %s", in.Number, last)))
	expected := len(c.messages) + 1
	switch {
	case in.Number > expected:
		reply(w, http.StatusConflict, map[string]any{"expected_number": expected})
		c.mu.Unlock()
		return
	case in.Number < expected && c.messages[in.Number-1] != in.Text:
		reply(w, http.StatusUnprocessableEntity, map[string]any{"detail": "this number was taken by another message"})
		c.mu.Unlock()
		return
	case in.Number == expected:
		c.messages = append(c.messages, in.Text)
	}
	cut := -1
	if len(c.cuts) > 0 {
		cut, c.cuts = c.cuts[0], c.cuts[1:]
	}
	problem := c.problems > 0
	c.problems--
	pieces, hold, plain := c.answering(in.Number), c.hold, c.json
	c.mu.Unlock()

	done := map[string]any{"number": in.Number, "answer": map[string]any{"text": strings.Join(pieces, ""), "by": "assistant", "state": "done"}}
	if plain {
		if problem {
			w.Header().Set("Retry-After", "1")
			reply(w, http.StatusServiceUnavailable, map[string]any{})
			return
		}
		reply(w, http.StatusOK, done)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	event := func(id, name string, data any) {
		encoded, _ := json.Marshal(data) // maps of text
		fmt.Fprintf(w, "id: %d.%s\nevent: %s\ndata: %s\n\n", in.Number, id, name, encoded)
		_ = http.NewResponseController(w).Flush()
	}
	event("0", "accepted", map[string]any{"number": in.Number})
	if problem {
		event("0", "problem", map[string]any{"title": "The service is temporarily unavailable", "status": 503})
		return
	}
	after := 0
	if _, offset, ok := strings.Cut(last, "."); ok {
		after, _ = strconv.Atoi(offset) // of the pieces that this server named
	}
	at := 0
	for i, piece := range pieces {
		if i == 2 && hold != nil {
			fmt.Fprint(w, ": wait\n\n")
			select {
			case <-hold:
			case <-r.Context().Done():
				return
			}
		}
		if i == cut {
			panic(http.ErrAbortHandler) // the connection ends
		}
		at += len(piece)
		if at > after {
			event(strconv.Itoa(at), "delta", map[string]any{"number": in.Number, "text": piece})
		}
	}
	event("end", "done", done)
}

// took fails unless these messages were taken in, after these tries.
func (c *chatService) took(t *testing.T, messages, posts []string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if diff := cmp.Diff(messages, c.messages); diff != "" {
		t.Errorf("messages (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(posts, c.posts); diff != "" {
		t.Errorf("tries (-want +got)\n%s", diff)
	}
}

// widget is the JavaScript for what the widget shows.
const widget = `document.querySelector("ingestion-chat").shadowRoot`

// said is the conversation as it is told: a line for each message.
func said(p *browsertest.Page) []string {
	return strings.Split(p.String(`[...`+widget+`.querySelectorAll("[role=log] p")].map((m) => m.textContent).join("\n")`), "\n")
}

// answered waits for that many messages in the conversation.
func answered(p *browsertest.Page, count int) {
	p.Wait(fmt.Sprintf(`%s.querySelectorAll("[role=log] p").length === %d && %s.querySelector("[role=status]").textContent === ""`, widget, count, widget))
}

// start opens the chat by keyboard and waits for its greeting.
func start(p *browsertest.Page, address string) {
	p.Go(address + "/chat")
	p.Press(browsertest.Tab, browsertest.Tab, browsertest.Enter)
	answered(p, 1)
}

// send types a message and sends it.
func send(p *browsertest.Page, message string) {
	p.Press(strings.Split(message, "")...)
	p.Press(browsertest.Enter)
}

// focus is where the focus is in the widget, or in the page.
const focus = `(document.activeElement.shadowRoot ? document.activeElement.shadowRoot.activeElement : document.activeElement).textContent.trim()
 || (document.activeElement.shadowRoot ? document.activeElement.shadowRoot.activeElement : document.activeElement).id`

const greeting = "Answer: Hello! How can we help?"

// TestChatInBrowser is what a visitor meets, in a real Chromium, on a page whose
// styles and policy do what they can to be in the way.
func TestChatInBrowser(t *testing.T) {
	inBrowser(t, newChatService, map[string]func(*testing.T, *chatService, *browsertest.Page){
		"by_keyboard":             chatByKeyboard,
		"told_once":               chatToldOnce,
		"reload":                  chatReload,
		"reload_while_it_answers": chatReloadWhileAnswering,
		"connection_lost":         chatConnectionLost,
		"model_failing":           chatModelFailing,
		"offline":                 chatOffline,
		"without_streams":         chatWithoutStreams,
		"another_tab":             chatAnotherTab,
		"session_ended":           chatSessionEnded,
		"can_be_seen":             chatCanBeSeen,
	})
}

func chatByKeyboard(t *testing.T, c *chatService, p *browsertest.Page) {
	p.Go(c.site.URL + "/chat")
	p.Wait(widget)
	if diff := cmp.Diff([]string{`link "A LINK OF THE PAGE"`, `button "Chat with us" expanded=false`}, p.Outline()[:2]); diff != "" {
		t.Errorf("closed (-want +got)\n%s", diff)
	}
	p.Press(browsertest.Tab, browsertest.Tab, browsertest.Enter)
	answered(p, 1)
	send(p, "Do you do baths?")
	answered(p, 3)
	if diff := cmp.Diff([]string{
		`link "A LINK OF THE PAGE"`,
		`button "Chat with us" expanded=true`,
		`dialog "Chat"`,
		`heading "Chat"`,
		`button "Close chat"`,
		`group "Conversation"`,
		`log "Conversation" live=polite`,
		`text "Answer:"`, `text "Hello! How can we help?"`,
		`text "You:"`, `text "Do you do baths?"`,
		`text "Answer:"`, `text "Yes, we do that (1)."`,
		`status "" live=polite`,
		`form ""`,
		`textbox "Your message" focused=true`,
		`button "Send"`,
	}, p.Outline()); diff != "" {
		t.Errorf("open (-want +got)\n%s", diff)
	}
	// Through it and out again, both ways: nothing holds the focus.
	p.Press(browsertest.Tab)
	if got := p.String(focus); got != "Send" {
		t.Errorf("after the message: focus on %q", got)
	}
	p.Press(browsertest.Tab)
	if got := p.String(`document.activeElement.tagName`); got != "BODY" {
		t.Errorf("behind the widget: focus on %s", got)
	}
	for _, want := range []string{"Send", "message", greeting + "You: Do you do baths?Answer: Yes, we do that (1).", "Close chat", "Chat with us", "A link of the page"} {
		p.ShiftTab()
		if got := p.String(focus); got != want {
			t.Errorf("backwards: focus on %q, want %q", got, want)
		}
	}
	p.Press(browsertest.Tab, browsertest.Tab, browsertest.Tab)
	p.Press(browsertest.Escape)
	if got := p.String(`[` + focus + `, ` + widget + `.getElementById("panel").hidden]`); got != "Chat with us,true" {
		t.Errorf("after Escape: %s", got)
	}
	c.took(t, []string{"Do you do baths?"}, []string{"1"})
}

// While an answer grows it is for the eyes; the log hears it once.
func chatToldOnce(t *testing.T, c *chatService, p *browsertest.Page) {
	c.holding()
	start(p, c.site.URL)
	p.String(`(window.told = [], new MutationObserver((all) => all.forEach((m) => told.push(m.type + ":" + m.target.getAttribute("role") + ":" + m.addedNodes.length)))
		.observe(` + widget + `.querySelector("[role=log]"), {childList: true, subtree: true, characterData: true}))`)
	send(p, "Roofs?")
	p.Wait(widget + `.querySelector("[aria-hidden=true]").textContent === "Yes, we do "`)
	if diff := cmp.Diff([]string{greeting, "You: Roofs?"}, said(p)); diff != "" {
		t.Errorf("while it answers (-want +got)\n%s", diff)
	}
	c.release()
	answered(p, 3)
	if diff := cmp.Diff([]string{greeting, "You: Roofs?", "Answer: Yes, we do that (1)."}, said(p)); diff != "" {
		t.Errorf("conversation (-want +got)\n%s", diff)
	}
	if got := p.String(`told`); got != "childList:log:1,childList:log:1" {
		t.Errorf("changes of the log: %s", got)
	}
	if got := p.String(widget + `.querySelector("[aria-hidden=true]").hidden`); got != "true" {
		t.Error("the draft of the answer is still there")
	}
}

func chatReload(t *testing.T, c *chatService, p *browsertest.Page) {
	start(p, c.site.URL)
	send(p, "Roofs?")
	answered(p, 3)
	p.Reload()
	answered(p, 3)
	if got := p.String(`document.activeElement.tagName`); got != "BODY" {
		t.Errorf("the reloaded widget took the focus: %s", got)
	}
	p.String(widget + `.getElementById("message").focus()`)
	send(p, "And baths?")
	answered(p, 5)
	if diff := cmp.Diff([]string{greeting, "You: Roofs?", "Answer: Yes, we do that (1).", "You: And baths?", "Answer: Yes, we do that (2)."}, said(p)); diff != "" {
		t.Errorf("conversation (-want +got)\n%s", diff)
	}
	c.took(t, []string{"Roofs?", "And baths?"}, []string{"1", "2"})
	if c.sessions != 1 {
		t.Errorf("%d sessions", c.sessions)
	}
}

func chatReloadWhileAnswering(t *testing.T, c *chatService, p *browsertest.Page) {
	c.holding()
	start(p, c.site.URL)
	send(p, "Roofs?")
	p.Wait(widget + `.querySelector("[aria-hidden=true]").textContent === "Yes, we do "`)
	p.Reload()
	p.Wait(widget + `.querySelector("[aria-hidden=true]").textContent === "Yes, we do "`)
	c.release()
	answered(p, 3)
	if diff := cmp.Diff([]string{greeting, "You: Roofs?", "Answer: Yes, we do that (1)."}, said(p)); diff != "" {
		t.Errorf("conversation (-want +got)\n%s", diff)
	}
	c.took(t, []string{"Roofs?"}, []string{"1", "1"})
}

func chatConnectionLost(t *testing.T, c *chatService, p *browsertest.Page) {
	c.holding()
	c.cuts = []int{2}
	start(p, c.site.URL)
	send(p, "Roofs?")
	p.Wait(widget + `.querySelector("[aria-hidden=true]").textContent === "Yes, we do "`)
	c.release()
	answered(p, 3)
	if diff := cmp.Diff([]string{greeting, "You: Roofs?", "Answer: Yes, we do that (1)."}, said(p)); diff != "" {
		t.Errorf("conversation (-want +got)\n%s", diff)
	}
	// It goes on where it was lost, and what was taken in is not sent as new.
	c.took(t, []string{"Roofs?"}, []string{"1", "1 1.11"})
}

func chatModelFailing(t *testing.T, c *chatService, p *browsertest.Page) {
	c.problems = 1
	start(p, c.site.URL)
	send(p, "Roofs?")
	p.Wait(widget + `.querySelector("[role=status]").textContent.includes("Trying again")`)
	answered(p, 3)
	c.took(t, []string{"Roofs?"}, []string{"1", "1"})
}

func chatOffline(t *testing.T, c *chatService, p *browsertest.Page) {
	start(p, c.site.URL)
	p.Offline(true)
	send(p, "Roofs?")
	p.Wait(widget + `.querySelector("[role=status]").textContent.includes("offline")`)
	send(p, "And baths?")
	c.took(t, nil, nil)
	p.Offline(false)
	answered(p, 5)
	if diff := cmp.Diff([]string{greeting, "You: Roofs?", "You: And baths?", "Answer: Yes, we do that (1).", "Answer: Yes, we do that (2)."}, said(p)); diff != "" {
		t.Errorf("conversation (-want +got)\n%s", diff)
	}
	c.took(t, []string{"Roofs?", "And baths?"}, []string{"1", "2"})
}

func chatWithoutStreams(t *testing.T, c *chatService, p *browsertest.Page) {
	c.json, c.problems = true, 1
	start(p, c.site.URL)
	send(p, "Roofs?")
	answered(p, 3)
	c.took(t, []string{"Roofs?"}, []string{"1", "1"})
}

// Another tab of the visitor's has said something in the same conversation.
func chatAnotherTab(t *testing.T, c *chatService, p *browsertest.Page) {
	start(p, c.site.URL)
	c.mu.Lock()
	c.messages = append(c.messages, "From the other tab")
	c.mu.Unlock()
	send(p, "Roofs?")
	answered(p, 5)
	if diff := cmp.Diff([]string{greeting, "You: From the other tab", "Answer: Yes, we do that (1).", "You: Roofs?", "Answer: Yes, we do that (2)."}, said(p)); diff != "" {
		t.Errorf("conversation (-want +got)\n%s", diff)
	}
	c.took(t, []string{"From the other tab", "Roofs?"}, []string{"1", "2"})
}

// The service does not know the session any more.
func chatSessionEnded(t *testing.T, c *chatService, p *browsertest.Page) {
	start(p, c.site.URL)
	c.mu.Lock()
	c.valid = 0
	c.mu.Unlock()
	send(p, "Roofs?")
	answered(p, 3)
	c.took(t, []string{"Roofs?"}, []string{"1"})
	if c.sessions != 2 {
		t.Errorf("%d sessions, want a second", c.sessions)
	}
}

// chatCanBeSeen measures what the page's styles could have spoilt: contrast, as
// WCAG 2.2 reckons it, text of twice the size, and motion.
func chatCanBeSeen(t *testing.T, c *chatService, p *browsertest.Page) {
	start(p, c.site.URL)
	send(p, "Roofs?")
	answered(p, 3)
	got := p.String(`(() => {
		const luminance = (c) => { const [r, g, b] = c.match(/[\d.]+/g).map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
		const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (c !== "rgba(0, 0, 0, 0)") return c; } return "rgb(255, 255, 255)"; };
		return [...` + widget + `.querySelectorAll("button, h2, label, textarea, .status, [role=log] p")].flatMap((e) => {
			const style = getComputedStyle(e), [a, b] = [luminance(style.color), luminance(behind(e))].sort((x, y) => y - x);
			const ratio = (a + 0.05) / (b + 0.05), box = e.getBoundingClientRect();
			return ratio >= 4.5 && (box.height > 0 || e.className === "status") && parseFloat(style.fontSize) >= 16 ? [] : [e.outerHTML + " " + ratio + " " + box.height + " " + style.fontSize];
		}).join("\n");
	})()`)
	if got != "" {
		t.Errorf("too faint, too small or not there:\n%s", got)
	}
	p.TextSize(32) // twice the usual
	if got := p.String(`(() => { const b = ` + widget + `.getElementById("panel").getBoundingClientRect(), s = ` + widget + `.querySelector(".scroll");
		return [b.left >= 0, b.top >= 0, b.right <= innerWidth, b.bottom <= innerHeight, s.scrollWidth <= s.clientWidth, s.clientHeight > 0]; })()`); got != "true,true,true,true,true,true" {
		t.Errorf("at twice the size: %s", got)
	}
	motion := `getComputedStyle(` + widget + `.querySelector(".scroll")).scrollBehavior`
	p.Media("prefers-reduced-motion", "reduce")
	if got := p.String(motion); got != "auto" {
		t.Errorf("with reduced motion: %s", got)
	}
}
