//go:build browser

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
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
	json      bool           // the tenant does not want streams
	sessions  int            // that were opened
	begun     []string       // what was said of the visitor, as JSON
	valid     int            // the only session whose token is good
	unknown   int            // of the next requests, how many are answered 401 all the same
	messages  []string       // taken in, by number
	posts     []string       // "number last-event-id" of each try
	cuts      []int          // after how many pieces the next answers break off
	forget    bool           // the next message is taken in, and then the session forgotten
	problems  int            // answers that cannot be had
	busy      []int          // Retry-After of the next tries, which are one too many
	away      bool           // all is answered 401
	refuse    map[string]int // statuses, by text
	full      int            // from how many messages on a conversation takes no more; 0 = never
	pending   []int          // the only messages whose answers the conversation does not have yet
	closes    int
	closing   chan struct{} // what the close waits for
	closed    bool
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
	r.Options("/api/v1/chat/sessions/{id}/{what}", none)
	r.Post("/api/v1/chat/sessions", c.open)
	r.Post("/api/v1/chat/sessions/{id}/messages", c.say)
	r.Get("/api/v1/chat/sessions/{id}/messages", c.conversation)
	r.Post("/api/v1/chat/sessions/{id}/close", c.end)
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

// forgetSession ends the session, as far as the page can tell.
func (c *chatService) forgetSession() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.valid = 0
}

func (c *chatService) terms() map[string]any {
	return map[string]any{"streams": !c.json, "assistant": true, "greeting": "Hello! How can we help?", "max_message_chars": 2000, "expected_number": len(c.messages) + 1}
}

func reply(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

func (c *chatService) open(w http.ResponseWriter, r *http.Request) {
	var in struct{ Name, Phone, Email string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		reply(w, http.StatusBadRequest, map[string]any{"detail": err.Error()})
		return
	}
	if in.Phone == "12" {
		reply(w, http.StatusUnprocessableEntity, map[string]any{"detail": "phone is not a telephone number"})
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away {
		reply(w, http.StatusUnauthorized, map[string]any{})
		return
	}
	c.sessions++
	c.valid = c.sessions
	c.messages, c.closed = nil, false
	c.begun = append(c.begun, strings.TrimSpace(in.Name+" "+in.Phone+" "+in.Email))
	answer := c.terms()
	answer["session_id"], answer["token"] = fmt.Sprintf("session-%d", c.sessions), fmt.Sprintf("acme.%d", c.sessions)
	reply(w, http.StatusCreated, answer)
}

// proven answers 401 to whoever has no token that is good.
func (c *chatService) proven(w http.ResponseWriter, r *http.Request) bool {
	c.unknown--
	if c.unknown < 0 && !c.away && r.Header.Get("Chat-Token") == fmt.Sprintf("acme.%d", c.valid) && chi.URLParam(r, "id") == fmt.Sprintf("session-%d", c.valid) {
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
	answer["session_id"], answer["state"] = chi.URLParam(r, "id"), map[bool]string{true: "closed", false: "open"}[c.closed]
	all := []map[string]any{}
	for i, text := range c.messages {
		state, said := "done", strings.Join(c.answering(i+1), "")
		if slices.Contains(c.pending, i+1) || c.pending == nil && c.hold != nil && i == len(c.messages)-1 {
			state, said = "pending", ""
		}
		all = append(all, map[string]any{"number": i + 1, "text": text, "answer": map[string]any{"text": said, "by": "assistant", "state": state}})
	}
	answer["messages"] = all
	reply(w, http.StatusOK, answer)
}

func (c *chatService) end(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	closing := c.closing
	c.mu.Unlock()
	if closing != nil {
		<-closing
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.proven(w, r) {
		c.closes++
		c.closed = true
		reply(w, http.StatusOK, map[string]any{"session_id": chi.URLParam(r, "id"), "state": "closed"})
	}
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
	if len(c.busy) > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(c.busy[0]))
		c.busy = c.busy[1:]
		reply(w, http.StatusTooManyRequests, map[string]any{})
		c.mu.Unlock()
		return
	}
	expected := len(c.messages) + 1
	switch {
	case c.refuse[in.Text] > 0:
		reply(w, c.refuse[in.Text], map[string]any{"detail": "this is not taken"})
		c.mu.Unlock()
		return
	case in.Number > expected:
		reply(w, http.StatusConflict, map[string]any{"expected_number": expected})
		c.mu.Unlock()
		return
	case in.Number < expected && c.messages[in.Number-1] != in.Text:
		reply(w, http.StatusUnprocessableEntity, map[string]any{"detail": "this number was taken by another message"})
		c.mu.Unlock()
		return
	case in.Number == expected && c.full > 0 && len(c.messages) >= c.full:
		reply(w, http.StatusUnprocessableEntity, map[string]any{"detail": "the conversation is full; begin another one", "full": true})
		c.mu.Unlock()
		return
	case in.Number == expected:
		c.messages = append(c.messages, in.Text)
		c.closed = false
	}
	if c.forget {
		c.forget, c.valid = false, 0
		c.mu.Unlock()
		panic(http.ErrAbortHandler) // the connection ends
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
	begin(p, address+"/chat")
	answered(p, 1)
}

// begin opens the chat of a page by keyboard.
func begin(p *browsertest.Page, page string) {
	p.Go(page)
	p.Wait(`document.querySelector("ingestion-chat")`)
	p.Press(browsertest.Tab, browsertest.Tab, browsertest.Enter)
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
		"unknown_for_a_moment":    chatUnknownForAMoment,
		"session_ended":           chatSessionEnded,
		"session_ended_in_doubt":  chatSessionEndedInDoubt,
		"tenant_gone":             chatTenantGone,
		"refused":                 chatRefused,
		"refused_while_typing":    chatRefusedWhileTyping,
		"full":                    chatFull,
		"too_long":                chatTooLong,
		"growing_pauses":          chatGrowingPauses,
		"too_many":                chatTooMany,
		"offline_while_answering": chatOfflineWhileAnswering,
		"ended_by_visitor":        chatEndedByVisitor,
		"ended_and_gone_on":       chatEndedAndGoneOn,
		"ended_when_gone":         chatEndedWhenGone,
		"contact":                 chatContact,
		"contact_skipped":         chatContactSkipped,
		"contact_again":           chatContactAgain,
		"contact_can_be_seen":     chatContactCanBeSeen,
		"closed_before_sent":      chatClosedBeforeSent,
		"second_tab":              chatSecondTab,
		"second_tab_answered":     chatSecondTabAnsweredFirst,
		"second_tab_in_doubt":     chatSecondTabInDoubt,
		"session_ended_unused":    chatSessionEndedUnused,
		"reload_before_session":   chatReloadBeforeSession,
		"goes_on_instead":         chatGoesOnInstead,
		"loaded_twice":            chatLoadedTwice,
		"page_replaced":           chatPageReplaced,
		"two_chats":               chatTwoChats,
		"no_storage":              chatNoStorage,
		"shortcuts_of_the_page":   chatShortcuts,
		"reading_above":           chatReadingAbove,
		"right_to_left":           chatRightToLeft,
		"small_screen":            chatSmallScreen,
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
		`button "End chat"`,
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
	for _, want := range []string{"Send", "message", greeting + "You: Do you do baths?Answer: Yes, we do that (1).", "Close chat", "End chat", "Chat with us", "A link of the page"} {
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

// A tenant that is being changed is answered 401 for a moment.
func chatUnknownForAMoment(t *testing.T, c *chatService, p *browsertest.Page) {
	start(p, c.site.URL)
	c.mu.Lock()
	c.unknown = 1
	c.mu.Unlock()
	send(p, "Roofs?")
	answered(p, 3)
	c.took(t, []string{"Roofs?"}, []string{"1"})
	if c.sessions != 1 {
		t.Errorf("%d sessions, want the one that there was", c.sessions)
	}
}

const (
	renewed = "The conversation so far has ended. A new one begins here."
	inDoubt = "Not sent again, because it may have arrived already.Send again"
)

// The service does not know the session any more. What waited goes into a new
// one, and the visitor is told. What the old one was asked to take is the
// visitor's to send again: a browser that lost the connection has asked twice,
// and the script hears the second answer only.
func chatSessionEnded(t *testing.T, c *chatService, p *browsertest.Page) {
	start(p, c.site.URL)
	send(p, "Baths?")
	answered(p, 3)
	c.forgetSession()
	p.Offline(true)
	send(p, "Roofs?")
	send(p, "Doors?")
	p.Offline(false)
	answered(p, 7)
	if diff := cmp.Diff([]string{greeting, "You: Baths?", "Answer: Yes, we do that (1).", "You: Roofs?" + inDoubt, renewed, "You: Doors?", "Answer: Yes, we do that (1)."}, said(p)); diff != "" {
		t.Errorf("conversation (-want +got)\n%s", diff)
	}
	c.took(t, []string{"Doors?"}, []string{"1", "1"})
	if c.sessions != 2 {
		t.Errorf("%d sessions, want a second", c.sessions)
	}
}

// The session ended with a message that it had taken in, and nobody heard.
func chatSessionEndedInDoubt(t *testing.T, c *chatService, p *browsertest.Page) {
	c.forget = true
	start(p, c.site.URL)
	send(p, "Roofs?")
	answered(p, 3)
	if diff := cmp.Diff([]string{greeting, "You: Roofs?" + inDoubt, renewed}, said(p)); diff != "" {
		t.Errorf("conversation (-want +got)\n%s", diff)
	}
	c.took(t, nil, []string{"1"})
	// It stays the visitor's over what comes next, and over a reload.
	send(p, "Hello?")
	answered(p, 5)
	p.Reload()
	answered(p, 4)
	if diff := cmp.Diff([]string{greeting, "You: Hello?", "Answer: Yes, we do that (1).", "You: Roofs?" + inDoubt}, said(p)); diff != "" {
		t.Errorf("after a reload (-want +got)\n%s", diff)
	}
	c.took(t, []string{"Hello?"}, []string{"1", "1"})
	p.String(widget + `.querySelector(".unsent button").focus()`)
	p.Press(browsertest.Enter)
	answered(p, 5)
	if diff := cmp.Diff([]string{greeting, "You: Hello?", "Answer: Yes, we do that (1).", "You: Roofs?", "Answer: Yes, we do that (2)."}, said(p)); diff != "" {
		t.Errorf("sent again (-want +got)\n%s", diff)
	}
	if got := p.String(focus); got != "message" {
		t.Errorf("focus on %q, want the message", got)
	}
	c.took(t, []string{"Hello?", "Roofs?"}, []string{"1", "1", "2"})
}

// No new session can be had either, so the old one is kept until it is known.
func chatTenantGone(t *testing.T, c *chatService, p *browsertest.Page) {
	start(p, c.site.URL)
	send(p, "Baths?")
	answered(p, 3)
	c.mu.Lock()
	c.away = true
	c.mu.Unlock()
	send(p, "Roofs?")
	p.Wait(widget + `.querySelector("[role=status]").textContent.includes("press Send")`)
	c.mu.Lock()
	c.away = false
	c.mu.Unlock()
	p.Press(browsertest.Enter)
	answered(p, 5)
	if c.sessions != 1 {
		t.Errorf("%d sessions, want the one that there was", c.sessions)
	}
	c.took(t, []string{"Baths?", "Roofs?"}, []string{"1", "2"})
}

// A message that is refused stays, with the reason, and those behind it go on.
func chatRefused(t *testing.T, c *chatService, p *browsertest.Page) {
	c.refuse = map[string]int{"A": 422, "B": 413, "C": 400}
	c.holding()
	start(p, c.site.URL)
	send(p, "Roofs?")
	p.Wait(widget + `.querySelector("[aria-hidden=true]").textContent === "Yes, we do "`)
	for _, message := range []string{"A", "Baths?", "B", "C", "Doors?"} {
		send(p, message)
	}
	c.release()
	answered(p, 10)
	if diff := cmp.Diff([]string{greeting, "You: Roofs?",
		"You: ANot sent: this is not takenEdit", "You: Baths?", "You: BNot sent: this is not takenEdit", "You: CNot sent: this is not takenEdit", "You: Doors?",
		"Answer: Yes, we do that (1).", "Answer: Yes, we do that (2).", "Answer: Yes, we do that (3).",
	}, said(p)); diff != "" {
		t.Errorf("conversation (-want +got)\n%s", diff)
	}
	c.took(t, []string{"Roofs?", "Baths?", "Doors?"}, []string{"1", "2", "2", "3", "3", "3"})
	// The first is in the field again, which was empty. Mended it takes its own place.
	if got := p.String(widget + `.getElementById("message").value`); got != "A" {
		t.Errorf("in the field: %q", got)
	}
	send(p, "ll windows")
	answered(p, 11)
	if got := said(p); got[2] != "You: Baths?" || got[9] != "You: All windows" || got[10] != "Answer: Yes, we do that (4)." {
		t.Errorf("mended: %q", got)
	}
	// Another by its button, which says what it is about.
	if !slices.Contains(p.Outline(), `button "Edit" described "B"`) {
		t.Errorf("outline: %q", p.Outline())
	}
	p.String(widget + `.querySelector(".unsent button").focus()`)
	p.Press(browsertest.Enter)
	if got := p.String(`[` + focus + `, ` + widget + `.getElementById("message").value]`); got != "message,B" {
		t.Errorf("focus and field: %s", got)
	}
	send(p, "alcony")
	answered(p, 12)
	c.took(t, []string{"Roofs?", "Baths?", "Doors?", "All windows", "Balcony"}, []string{"1", "2", "2", "3", "3", "3", "4", "5"})
}

// A conversation that takes no more is followed by another one, in which the
// message is said that was one too many.
func chatFull(t *testing.T, c *chatService, p *browsertest.Page) {
	c.full = 2
	start(p, c.site.URL)
	send(p, "Baths?")
	answered(p, 3)
	send(p, "Roofs?")
	answered(p, 5)
	send(p, "Doors?")
	answered(p, 8)
	if diff := cmp.Diff([]string{"You: Roofs?", "Answer: Yes, we do that (2).", renewed, "You: Doors?", "Answer: Yes, we do that (1)."}, said(p)[3:]); diff != "" {
		t.Errorf("conversation (-want +got)\n%s", diff)
	}
	c.took(t, []string{"Doors?"}, []string{"1", "2", "3", "1"})
	if c.sessions != 2 {
		t.Errorf("%d sessions, want a second", c.sessions)
	}
}

// What the visitor is writing goes before what was refused.
func chatRefusedWhileTyping(t *testing.T, c *chatService, p *browsertest.Page) {
	c.refuse = map[string]int{"A": 422}
	c.holding()
	start(p, c.site.URL)
	send(p, "Roofs?")
	p.Wait(widget + `.querySelector("[aria-hidden=true]").textContent === "Yes, we do "`)
	send(p, "A")
	p.Press("B", "a")
	c.release()
	answered(p, 4)
	field := widget + `.getElementById("message").value`
	if got := p.String(field); got != "Ba" {
		t.Errorf("in the field: %q", got)
	}
	p.String(widget + `.querySelector(".unsent button").focus()`)
	p.Press(browsertest.Enter)
	if got := p.String(`[` + field + `, ` + widget + `.querySelector("[role=status]").textContent]`); got != "Ba,There is another text in the field. Please send or delete it first." {
		t.Errorf("field and status: %s", got)
	}
	send(p, "ths?")
	answered(p, 6)
	if diff := cmp.Diff([]string{greeting, "You: Roofs?", "You: ANot sent: this is not takenEdit", "Answer: Yes, we do that (1).", "You: Baths?", "Answer: Yes, we do that (2)."}, said(p)); diff != "" {
		t.Errorf("conversation (-want +got)\n%s", diff)
	}
}

// A text that is too long is not cut behind the visitor's back.
func chatTooLong(t *testing.T, c *chatService, p *browsertest.Page) {
	long := strings.Repeat("long ", 500) + "end"
	c.refuse = map[string]int{long: 422}
	start(p, c.site.URL)
	p.String(`(window.told = [], new MutationObserver((all) => all.forEach((m) => told.push(m.target.closest("[role=log]").ariaLive)))
		.observe(` + widget + `.querySelector("[role=log]"), {childList: true, subtree: true}))`)
	p.Insert(long)
	p.Press(browsertest.Enter)
	answered(p, 2)
	if got := p.String(`told`); got != "polite,polite" {
		t.Errorf("the message and its refusal are told: %s", got)
	}
	if got := p.String(widget + `.getElementById("message").value`); got != long {
		t.Errorf("in the field: %d characters", len(got))
	}
	c.took(t, nil, []string{"1"})
}

// A limit is waited out as long as the service says, and the visitor is told.
func chatTooMany(t *testing.T, c *chatService, p *browsertest.Page) {
	c.busy = []int{1}
	start(p, c.site.URL)
	send(p, "Roofs?")
	p.Wait(widget + `.querySelector("[role=status]").textContent === "Too many messages at once. Trying again in 2 seconds."`)
	answered(p, 3)
	c.took(t, []string{"Roofs?"}, []string{"1", "1"})
}

// What fails is tried again under its number, ever later and not in step with
// other pages, until it is the visitor's turn or the browser is online again.
func chatGrowingPauses(t *testing.T, c *chatService, p *browsertest.Page) {
	// Pauses are noted and left out; half a minute is for a connection to be lost.
	p.Before(`window.pauses = []; const later = setTimeout;
		window.setTimeout = (f, ms) => { if (ms < 1000 || ms === 30000) return later(f, ms); pauses.push(ms / 1000); return later(f); };`)
	c.problems = 6
	start(p, c.site.URL)
	send(p, "Roofs?")
	p.Wait(widget + `.querySelector("[role=status]").textContent.includes("press Send")`)
	if got := p.String(`pauses.map((s, i) => s >= 2 ** i && s <= 1.25 * 2 ** i)`); got != "true,true,true,true,true" {
		t.Errorf("pauses in seconds: %s", p.String(`pauses`))
	}
	if got := p.String(`pauses.every(Number.isInteger)`); got != "false" {
		t.Errorf("pauses that every page makes: %s", p.String(`pauses`))
	}
	p.String(`window.dispatchEvent(new Event("online"))`)
	answered(p, 3)
	c.took(t, []string{"Roofs?"}, []string{"1", "1", "1", "1", "1", "1", "1"})
}

// A connection that has gone is not waited for, and what was heard is not lost.
func chatOfflineWhileAnswering(t *testing.T, c *chatService, p *browsertest.Page) {
	c.holding()
	start(p, c.site.URL)
	send(p, "Roofs?")
	p.Wait(widget + `.querySelector("[aria-hidden=true]").textContent === "Yes, we do "`)
	p.Offline(true)
	p.Wait(widget + `.querySelector("[role=status]").textContent.includes("offline")`)
	c.release()
	p.Offline(false)
	answered(p, 3)
	if diff := cmp.Diff([]string{greeting, "You: Roofs?", "Answer: Yes, we do that (1)."}, said(p)); diff != "" {
		t.Errorf("conversation (-want +got)\n%s", diff)
	}
	c.took(t, []string{"Roofs?"}, []string{"1", "1 1.11"})
}

const ended = "You have ended this chat. Write again to go on with it."

func chatEndedByVisitor(t *testing.T, c *chatService, p *browsertest.Page) {
	start(p, c.site.URL)
	end := widget + `.querySelector(".head button")`
	if got := p.String(end + `.hidden`); got != "true" {
		t.Error("a chat in which nothing was said can be ended")
	}
	send(p, "Roofs?")
	answered(p, 3)
	p.ShiftTab()
	p.ShiftTab()
	p.ShiftTab()
	if got := p.String(focus); got != "End chat" {
		t.Errorf("focus on %q", got)
	}
	p.Press(browsertest.Space)
	answered(p, 4)
	// The button has gone, and the focus with it to what can be done.
	if got := p.String(`[` + focus + `, ` + end + `.hidden]`); got != "message,true" {
		t.Errorf("focus, and whether the button is hidden: %s", got)
	}
	if diff := cmp.Diff([]string{greeting, "You: Roofs?", "Answer: Yes, we do that (1).", ended}, said(p)); diff != "" {
		t.Errorf("conversation (-want +got)\n%s", diff)
	}
	p.Reload()
	answered(p, 4)
	if got := said(p); got[3] != ended || p.String(end+`.hidden`) != "true" {
		t.Errorf("after a reload: %q", got)
	}
	p.String(widget + `.getElementById("message").focus()`)
	send(p, "And baths?")
	answered(p, 6)
	if got := p.String(end + `.hidden`); got != "false" {
		t.Error("the chat goes on, and cannot be ended")
	}
	c.took(t, []string{"Roofs?", "And baths?"}, []string{"1", "2"})
	if c.closes != 1 || c.sessions != 1 {
		t.Errorf("%d times closed, %d sessions", c.closes, c.sessions)
	}
}

// Where the session is not known any more the chat has ended; the next message
// begins another.
func chatEndedWhenGone(t *testing.T, c *chatService, p *browsertest.Page) {
	start(p, c.site.URL)
	send(p, "Roofs?")
	answered(p, 3)
	c.forgetSession()
	p.String(widget + `.querySelector(".head button").click()`)
	answered(p, 4)
	if c.sessions != 1 {
		t.Errorf("%d sessions for the end of one", c.sessions)
	}
	send(p, "Baths?")
	answered(p, 6)
	if diff := cmp.Diff([]string{greeting, "You: Roofs?", "Answer: Yes, we do that (1).", ended, "You: Baths?", "Answer: Yes, we do that (1)."}, said(p)); diff != "" {
		t.Errorf("conversation (-want +got)\n%s", diff)
	}
}

// A page that needs to know how to reach its visitor asks before the first
// message, and says at each field what is wrong with it.
func chatContact(t *testing.T, c *chatService, p *browsertest.Page) {
	begin(p, c.site.URL+"/chat?contact=required")
	p.Press(browsertest.Tab, browsertest.Tab, browsertest.Tab, browsertest.Enter)
	if diff := cmp.Diff([]string{
		`heading "Chat"`,
		`button "Close chat"`,
		`form "Before we begin: please tell us your name, and a phone number or an e-mail address."`,
		`textbox "Name" described "Please enter your name." invalid=true focused=true required=true`,
		`text "Please enter your name."`,
		`textbox "Phone" described "Please enter a phone number or an e-mail address." invalid=true`,
		`text "Please enter a phone number or an e-mail address."`,
		`textbox "E-mail" described "Please enter a phone number or an e-mail address." invalid=true`,
		`text "Please enter a phone number or an e-mail address."`,
		`button "Start chat"`,
		`status "" live=polite`,
	}, p.Outline()[3:]); diff != "" {
		t.Errorf("with nothing in it (-want +got)\n%s", diff)
	}
	if got := p.String(`["name", "phone", "email"].map((f) => { const e = ` + widget + `.getElementById(f); return e.type + " " + e.autocomplete; })`); got != "text name,tel tel,email email" {
		t.Errorf("fields: %s", got)
	}
	p.Press("K", "i", "m", browsertest.Tab, "1", "2", browsertest.Enter)
	p.Wait(widget + `.getElementById("wrong-phone").textContent === "phone is not a telephone number"`)
	if got := p.String(`[` + focus + `, ` + widget + `.getElementById("name").ariaInvalid]`); got != "phone," {
		t.Errorf("focus, and whether the name is wrong: %s", got)
	}
	p.Press("3", browsertest.Enter)
	answered(p, 1)
	send(p, "Roofs?")
	answered(p, 3)
	c.took(t, []string{"Roofs?"}, []string{"1"})
	p.Reload()
	answered(p, 3) // and nothing is asked again
	if diff := cmp.Diff([]string{"Kim 123"}, c.begun); diff != "" {
		t.Errorf("visitors (-want +got)\n%s", diff)
	}
}

// A page that only would like to know lets the visitor go on without.
func chatContactSkipped(t *testing.T, c *chatService, p *browsertest.Page) {
	begin(p, c.site.URL+"/chat?contact=optional")
	if got := p.String(`[` + focus + `, ` + widget + `.getElementById("name").required]`); got != "name,false" {
		t.Errorf("focus, and whether the name is needed: %s", got)
	}
	p.Press(browsertest.Tab, browsertest.Tab, browsertest.Tab, browsertest.Tab)
	if got := p.String(focus); got != "Skip" {
		t.Errorf("focus on %q", got)
	}
	if c.sessions != 0 {
		t.Error("a session before the visitor has said whether to begin")
	}
	p.Press(browsertest.Enter)
	answered(p, 1)
	send(p, "Roofs?")
	answered(p, 3)
	if diff := cmp.Diff([]string{""}, c.begun); diff != "" {
		t.Errorf("visitors (-want +got)\n%s", diff)
	}
}

// What the visitor said of themselves is said again to a new session.
func chatContactAgain(t *testing.T, c *chatService, p *browsertest.Page) {
	begin(p, c.site.URL+"/chat?contact=optional")
	p.Press("K", "i", "m", browsertest.Enter)
	answered(p, 1)
	c.forgetSession()
	send(p, "Roofs?")
	answered(p, 3)
	if diff := cmp.Diff([]string{"Kim", "Kim"}, c.begun); diff != "" {
		t.Errorf("visitors (-want +got)\n%s", diff)
	}
}

func chatContactCanBeSeen(t *testing.T, c *chatService, p *browsertest.Page) {
	begin(p, c.site.URL+"/chat?contact=required")
	p.Press(browsertest.Enter)
	if got := faint(p); got != "" {
		t.Errorf("too faint, too small or not there:\n%s", got)
	}
	p.Screen(320, 256)
	reachable(t, p)
	p.Screen(800, 600)
	p.TextSize(32)
	reachable(t, p)
}

// What was written is sent, though the visitor has closed the chat and gone to
// another page of the site.
func chatClosedBeforeSent(t *testing.T, c *chatService, p *browsertest.Page) {
	c.holding()
	start(p, c.site.URL)
	send(p, "Roofs?")
	p.Wait(widget + `.querySelector("[aria-hidden=true]").textContent === "Yes, we do "`)
	send(p, "Baths?")
	p.Press(browsertest.Escape)
	p.Reload()
	p.Wait(widget + `.querySelector("[aria-hidden=true]").textContent === "Yes, we do "`)
	c.release()
	answered(p, 5)
	if got := p.String(widget + `.getElementById("panel").hidden`); got != "true" {
		t.Error("the chat opened by itself")
	}
	c.took(t, []string{"Roofs?", "Baths?"}, []string{"1", "1", "2"})
}

// A tab that is opened from the first has its session; each shows what the
// other says.
func chatSecondTab(t *testing.T, c *chatService, p *browsertest.Page) {
	start(p, c.site.URL)
	send(p, "Roofs?")
	answered(p, 3)
	p.String(`(window.other = window.open("/chat"), 0)`)
	const second = `other.document.querySelector("ingestion-chat").shadowRoot`
	p.Wait(`other.document.querySelector("ingestion-chat") && ` + second + `.querySelectorAll("[role=log] p").length === 3`)
	p.String(`(() => { ` + second + `.getElementById("message").value = "Baths?"; ` + second + `.querySelector("form").requestSubmit(); })()`)
	answered(p, 5)
	want := []string{greeting, "You: Roofs?", "Answer: Yes, we do that (1).", "You: Baths?", "Answer: Yes, we do that (2)."}
	if diff := cmp.Diff(want, said(p)); diff != "" {
		t.Errorf("the first tab (-want +got)\n%s", diff)
	}
	p.String(widget + `.querySelector(".head button").click()`)
	p.Wait(second + `.querySelectorAll("[role=log] p").length === 6`)
	if got := p.String(second + `.querySelector("[role=log]").lastChild.textContent`); got != ended {
		t.Errorf("the second tab: %q", got)
	}
	c.took(t, []string{"Roofs?", "Baths?"}, []string{"1", "2"})
	p.String(`other.close()`)
}

// Of two messages the second may have its answer first. The other is not taken
// for one that was never sent.
func chatSecondTabAnsweredFirst(t *testing.T, c *chatService, p *browsertest.Page) {
	c.holding()
	start(p, c.site.URL)
	send(p, "Roofs?")
	p.Wait(widget + `.querySelector("[aria-hidden=true]").textContent === "Yes, we do "`)
	c.mu.Lock()
	c.messages, c.pending = append(c.messages, "From the other tab"), []int{1}
	c.mu.Unlock()
	for range 2 {
		p.Offline(true)
		p.Wait(widget + `.querySelector("[role=status]").textContent.includes("offline")`)
		p.String(`new BroadcastChannel("ingestion-chat:acme:session-1").postMessage("")`)
		p.Offline(false)
		p.Wait(widget + `.querySelector("[role=status]").textContent.includes("Writing")`)
	}
	c.release()
	answered(p, 5)
	c.mu.Lock()
	defer c.mu.Unlock()
	if other := slices.IndexFunc(c.posts, func(post string) bool { return !strings.HasPrefix(post, "1") }); other >= 0 {
		t.Errorf("tries: %q", c.posts)
	}
	if diff := cmp.Diff([]string{"Roofs?", "From the other tab"}, c.messages); diff != "" {
		t.Errorf("messages (-want +got)\n%s", diff)
	}
}

// What another tab said is not sent into a new session by this one.
func chatSecondTabInDoubt(t *testing.T, c *chatService, p *browsertest.Page) {
	start(p, c.site.URL)
	c.mu.Lock()
	c.messages, c.pending, c.problems = append(c.messages, "From the other tab", "And this"), []int{1, 2}, 1
	c.mu.Unlock()
	p.String(`new BroadcastChannel("ingestion-chat:acme:session-1").postMessage("")`)
	p.Wait(widget + `.querySelector("[role=status]").textContent.includes("Trying again")`)
	c.forgetSession()
	answered(p, 4)
	if diff := cmp.Diff([]string{greeting, "You: From the other tab" + inDoubt, "You: And this" + inDoubt, renewed}, said(p)); diff != "" {
		t.Errorf("conversation (-want +got)\n%s", diff)
	}
	c.took(t, nil, []string{"1"})
}

// A conversation in which nothing was said does not end with a word.
func chatSessionEndedUnused(t *testing.T, c *chatService, p *browsertest.Page) {
	start(p, c.site.URL)
	c.forgetSession()
	p.Reload()
	answered(p, 1)
	if diff := cmp.Diff([]string{greeting}, said(p)); diff != "" {
		t.Errorf("conversation (-want +got)\n%s", diff)
	}
	send := widget + `.querySelector("form:not([hidden]) button")`
	if got := p.String(`[` + send + `.textContent, ` + widget + `.querySelector(".head button").hidden]`); got != "Send,true" {
		t.Errorf("button, and whether the end is hidden: %s", got)
	}
	if c.sessions != 2 {
		t.Errorf("%d sessions", c.sessions)
	}
}

// What was written before there was a session is still there after a reload.
func chatReloadBeforeSession(t *testing.T, c *chatService, p *browsertest.Page) {
	c.away = true
	begin(p, c.site.URL+"/chat")
	send(p, "Roofs?")
	p.Wait(widget + `.querySelector("[role=status]").textContent.includes("press Send")`)
	c.mu.Lock()
	c.away = false
	c.mu.Unlock()
	p.Reload()
	answered(p, 3)
	if diff := cmp.Diff([]string{greeting, "You: Roofs?", "Answer: Yes, we do that (1)."}, said(p)); diff != "" {
		t.Errorf("conversation (-want +got)\n%s", diff)
	}
	c.took(t, []string{"Roofs?"}, []string{"1"})
}

// Who writes on before the chat has ended wants it to go on.
func chatGoesOnInstead(t *testing.T, c *chatService, p *browsertest.Page) {
	c.holding()
	start(p, c.site.URL)
	send(p, "Roofs?")
	p.Wait(widget + `.querySelector("[aria-hidden=true]").textContent === "Yes, we do "`)
	p.String(widget + `.querySelector(".head button").click()`)
	p.Wait(widget + `.querySelector("[role=status]").textContent === "Ending the chat …"`)
	send(p, "And baths?")
	c.release()
	answered(p, 5)
	if c.closes != 0 {
		t.Errorf("closed %d times", c.closes)
	}
}

// Some sites put a new body into the page in place of going to another one.
func chatPageReplaced(t *testing.T, c *chatService, p *browsertest.Page) {
	start(p, c.site.URL)
	send(p, "Roofs?")
	answered(p, 3)
	p.String(`(() => { document.body.replaceWith(document.createElement("body")); })()`)
	p.String(`(() => { const script = document.createElement("script"), trust = trustedTypes.createPolicy("page", { createScriptURL: (url) => url });
		for (const a of document.querySelector("script[data-tenant-id]").attributes) script.setAttribute(a.name, a.name === "src" ? trust.createScriptURL(a.value) : a.value);
		document.head.append(script); })()`)
	p.Wait(`document.querySelector("ingestion-chat")`)
	answered(p, 3)
}

func chatLoadedTwice(t *testing.T, c *chatService, p *browsertest.Page) {
	begin(p, c.site.URL+"/chat?again=acme")
	answered(p, 1)
	send(p, "Roofs?")
	answered(p, 3)
	if got := p.String(`document.querySelectorAll("ingestion-chat").length`); got != "1" {
		t.Errorf("%s chats", got)
	}
	c.took(t, []string{"Roofs?"}, []string{"1"})
}

// Two chats of a page do not lie on each other, and are each their own.
func chatTwoChats(t *testing.T, c *chatService, p *browsertest.Page) {
	begin(p, c.site.URL+"/chat?again=other")
	answered(p, 1)
	send(p, "Roofs?")
	answered(p, 3)
	got := p.String(`[...document.querySelectorAll("ingestion-chat")].map((e) => e.shadowRoot.querySelector("[aria-expanded]").getBoundingClientRect()).map((b) => Math.round(b.bottom) + ":" + Math.round(b.top))`)
	var bottoms, tops [2]int
	if _, err := fmt.Sscanf(strings.NewReplacer(":", " ", ",", " ").Replace(got), "%d %d %d %d", &bottoms[0], &tops[0], &bottoms[1], &tops[1]); err != nil {
		t.Fatalf("%s: %v", got, err)
	}
	if bottoms[1] > tops[0] || tops[1] < 0 {
		t.Errorf("bottoms and tops of the buttons: %s", got)
	}
	if c.sessions != 1 {
		t.Errorf("%d sessions", c.sessions)
	}
}

// A browser that keeps nothing for pages throws at the mere look at storage.
func chatNoStorage(t *testing.T, c *chatService, p *browsertest.Page) {
	p.Before(`for (const name of ["sessionStorage", "localStorage", "BroadcastChannel"])
		Object.defineProperty(window, name, { get() { throw new DOMException("denied", "SecurityError"); } });`)
	start(p, c.site.URL)
	send(p, "Roofs?")
	answered(p, 3)
	c.took(t, []string{"Roofs?"}, []string{"1"})
}

// The page sees no field where the visitor writes, and takes no letter for one
// of its shortcuts.
func chatShortcuts(t *testing.T, c *chatService, p *browsertest.Page) {
	start(p, c.site.URL)
	p.String(`(window.heard = [], ["keydown", "keypress", "keyup"].forEach((kind) => document.addEventListener(kind, (e) => { heard.push(e.key); e.preventDefault(); })))`)
	send(p, "s/?")
	answered(p, 3)
	p.Press(browsertest.Escape) // is the chat's, not that of a dialog of the page
	if got := p.String(`heard`); got != "" {
		t.Errorf("the page heard %s", got)
	}
	c.took(t, []string{"s/?"}, []string{"1"})
}

// Whoever reads what was said before is not taken away from it.
func chatReadingAbove(t *testing.T, c *chatService, p *browsertest.Page) {
	c.answering = func(int) []string { return []string{"One. ", "Two. ", strings.Repeat("A long answer. ", 100)} }
	start(p, c.site.URL)
	send(p, "Roofs?")
	answered(p, 3)
	top := widget + `.querySelector(".scroll").scrollTop`
	if got := p.String(top + ` > 100`); got != "true" {
		t.Fatalf("the answer is not in view: %s", p.String(top))
	}
	c.holding()
	send(p, "Baths?")
	p.Wait(widget + `.querySelector("[aria-hidden=true]").textContent === "One. Two. "`)
	p.String(`(` + top + ` = 50)`)
	c.release()
	answered(p, 5)
	if got := p.String(top); got != "50" {
		t.Errorf("taken from 50 to %s", got)
	}
}

// In a page that is written from right to left all is the other way round.
func chatRightToLeft(t *testing.T, c *chatService, p *browsertest.Page) {
	c.answering = func(int) []string { return []string{"نعم ", "123 "} }
	begin(p, c.site.URL+"/chat?dir=rtl")
	answered(p, 1)
	send(p, "مرحبا")
	answered(p, 3)
	got := p.String(`(() => { const w = ` + widget + `, box = (s) => w.querySelector(s).getBoundingClientRect(), panel = box("#panel"), scroll = w.querySelector(".scroll");
		return [panel.left < innerWidth - panel.right, box("h2").left > box(".head button").left,
			box(".you").left - panel.left < panel.right - box(".you").right, box(".company").right > box(".you").right,
			getComputedStyle(w.querySelector(".you .words")).direction, getComputedStyle(w.querySelector(".company .words")).direction,
			scroll.scrollWidth <= scroll.clientWidth]; })()`)
	if got != "true,true,true,true,rtl,ltr,true" {
		t.Errorf("panel, title, the visitor's and the answer's side, their directions, fits: %s", got)
	}
}

// 320 by 256 pixels are a screen of 1280 by 1024 at 400 % (WCAG 2.2, 1.4.10).
func chatSmallScreen(t *testing.T, c *chatService, p *browsertest.Page) {
	p.Screen(320, 256)
	start(p, c.site.URL)
	send(p, "Roofs-and-a-word-that-is-longer-than-a-line-of-this-screen?")
	answered(p, 3)
	reachable(t, p)
}

// reachable fails unless the chat is on the screen, has room for what is said,
// and everything in it can be brought into view without moving sideways.
func reachable(t *testing.T, p *browsertest.Page) {
	t.Helper()
	got := p.String(`(() => { const w = ` + widget + `, panel = w.getElementById("panel"), b = panel.getBoundingClientRect(), wrong = [];
		if (b.left < 0 || b.top < 0 || b.right > innerWidth || b.bottom > innerHeight) wrong.push("the chat is not on the screen");
		for (const e of [panel, w.querySelector(".scroll")]) if (e.scrollWidth > e.clientWidth) wrong.push("wider than the screen: " + e.className);
		const s = getComputedStyle(w.querySelector(".scroll")), lines = (parseFloat(s.height) - parseFloat(s.paddingTop) - parseFloat(s.paddingBottom)) / parseFloat(s.lineHeight);
		if (lines < 4 && !w.querySelector(".scroll").hidden) wrong.push("room for " + lines + " lines");
		for (const e of w.querySelectorAll("#panel button, input, textarea, .words, .wrong")) {
			if (e.closest("[hidden]")) continue;
			e.scrollIntoView({ block: "nearest" });
			const box = e.getBoundingClientRect(), seen = w.elementFromPoint(box.left + box.width / 2, box.top + Math.min(box.height, 20) / 2);
			if (seen !== e) wrong.push("not to be seen: " + e.textContent);
		}
		return wrong.join("\n"); })()`)
	if got != "" {
		t.Error(got)
	}
}

// faint returns what is there of the chat and can hardly be read: with less
// contrast than WCAG 2.2 wants of text, 4.5, as it reckons it, or too small.
func faint(p *browsertest.Page) string {
	return p.String(`(() => {
		const luminance = (c) => { const [r, g, b] = c.match(/[\d.]+/g).map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
		const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (c !== "rgba(0, 0, 0, 0)") return c; } return "rgb(255, 255, 255)"; };
		return [...` + widget + `.querySelectorAll("button, h2, label, input, textarea, .status, [role=log] p, .why, #intro, .wrong")].filter((e) => !e.closest("[hidden]")).flatMap((e) => {
			const style = getComputedStyle(e), [a, b] = [luminance(style.color), luminance(behind(e))].sort((x, y) => y - x);
			const ratio = (a + 0.05) / (b + 0.05), box = e.getBoundingClientRect();
			return ratio >= 4.5 && (box.height > 0 || e.className === "status") && parseFloat(style.fontSize) >= 16 ? [] : [e.outerHTML + " " + ratio + " " + box.height + " " + style.fontSize];
		}).join("\n");
	})()`)
}

// chatCanBeSeen measures what the page's styles could have spoilt: contrast,
// text of twice the size, motion, and colours of the visitor's own.
func chatCanBeSeen(t *testing.T, c *chatService, p *browsertest.Page) {
	c.refuse = map[string]int{"A": 422}
	start(p, c.site.URL)
	send(p, "A")
	answered(p, 2)
	send(p, " roof?") // the refused one, mended
	answered(p, 3)
	p.String(widget + `.getElementById("message").focus()`)
	send(p, "A")
	answered(p, 4)
	if got := p.String(`[".why", ".company", ".head button:first-of-type:not([hidden])"].map((s) => ` + widget + `.querySelectorAll(s).length)`); got != "1,2,1" {
		t.Errorf("reasons, answers, ends: %s", got)
	}
	if got := faint(p); got != "" {
		t.Errorf("too faint, too small or not there:\n%s", got)
	}
	p.TextSize(32) // twice the usual
	reachable(t, p)
	if got := p.String(`[...` + widget + `.querySelectorAll("*")].filter((e) => { const s = getComputedStyle(e); return s.scrollBehavior !== "auto" || s.animationName !== "none" || s.transitionDuration !== "0s"; }).length`); got != "0" {
		t.Errorf("%s elements move by themselves", got)
	}
	// Where the visitor's colours are forced, lines take the place of grounds.
	p.Media("forced-colors", "active")
	if got := p.String(`[...` + widget + `.querySelectorAll("button, textarea, [role=log] p")].filter((e) => getComputedStyle(e).borderTopColor === "rgba(0, 0, 0, 0)" || getComputedStyle(e).borderTopStyle === "none").length`); got != "0" {
		t.Errorf("%s elements have no border in forced colours", got)
	}
}

// Who writes while the end is on its way goes on, and can end it later.
func chatEndedAndGoneOn(t *testing.T, c *chatService, p *browsertest.Page) {
	c.closing = make(chan struct{})
	start(p, c.site.URL)
	send(p, "Roofs?")
	answered(p, 3)
	p.String(widget + `.querySelector(".head button").click()`)
	p.Wait(widget + `.querySelector("[role=status]").textContent === "Ending the chat …"`)
	p.String(widget + `.getElementById("message").focus()`)
	send(p, "And baths?")
	close(c.closing)
	answered(p, 5)
	if diff := cmp.Diff([]string{"You: And baths?", "Answer: Yes, we do that (2)."}, said(p)[3:]); diff != "" {
		t.Errorf("conversation (-want +got)\n%s", diff)
	}
	if got := p.String(widget + `.querySelector(".head button").hidden`); got != "false" {
		t.Error("it cannot be ended")
	}
}
