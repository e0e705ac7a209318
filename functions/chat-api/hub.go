package main

import (
	"context"
	"sync"
	"unicode/utf8"

	"ingestion.internal/shared/store"
)

// hub has the answers that this instance is making or looking for, so that a
// second request for one joins the first.
type hub struct {
	mu      sync.Mutex
	running map[string]*answering
}

func newHub() *hub { return &hub{running: map[string]*answering{}} }

// begin registers an answer that the caller makes and hears.
func (h *hub) begin(key string) *answering {
	a := newAnswering()
	a.making = true
	h.mu.Lock()
	defer h.mu.Unlock()
	a.listeners = 1
	h.running[key] = a
	return a
}

// join returns the answer that this instance makes or looks for, and has look
// called for it where there is none. look's context ends when the last listener
// has left: what nobody waits for is not looked for.
func (h *hub) join(ctx context.Context, key string, look func(context.Context, *answering)) *answering {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := h.running[key]
	if a == nil {
		a = newAnswering()
		h.running[key] = a
		ctx, a.stop = context.WithCancel(context.WithoutCancel(ctx))
		go look(ctx, a)
	}
	a.listeners++
	return a
}

// leave ends a listener's part. Where the answer is being made here it returns
// only when it is kept: Cloud Run gives CPU while a request is open.
func (h *hub) leave(key string, a *answering) {
	h.mu.Lock()
	a.listeners--
	if a.listeners == 0 && a.stop != nil {
		a.stop()
		h.forget(key, a)
	}
	h.mu.Unlock()
	a.attend()
}

// end forgets an answer. Those who have it keep it.
func (h *hub) end(key string, a *answering) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forget(key, a)
}

func (h *hub) forget(key string, a *answering) {
	if h.running[key] == a {
		delete(h.running, key)
	}
}

// answering is an answer in the making: whoever wants to hear it does so from
// any place on.
type answering struct {
	// The hub's.
	listeners int
	stop      context.CancelFunc // nil where it is not looked for

	mu      sync.Mutex
	text    string
	making  bool              // here, or about to be
	result  *store.ChatAnswer // once it is kept
	err     error             // why it is not
	over    bool
	changed chan struct{} // closed with the next change
}

func newAnswering() *answering { return &answering{changed: make(chan struct{})} }

// given is an answer that was made before.
func given(answer store.ChatAnswer) *answering {
	a := newAnswering()
	a.finish(&answer, nil)
	return a
}

// say adds a piece to the answer.
func (a *answering) say(piece string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.text += piece
	a.change()
}

// said returns all pieces so far.
func (a *answering) said() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.text
}

// finish ends the answer: result is what was kept of it, or err is why nothing
// was.
func (a *answering) finish(result *store.ChatAnswer, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.result, a.err, a.over = result, err, true
	if result != nil && len(result.Text) >= len(a.text) && result.Text[:len(a.text)] == a.text {
		a.text = result.Text
	}
	a.change()
}

// make says whether the answer is made here from now on.
func (a *answering) make(here bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.making = here
	a.change()
}

// attend waits while the answer is being made here.
func (a *answering) attend() {
	for {
		a.mu.Lock()
		changed, done := a.changed, a.over || !a.making
		a.mu.Unlock()
		if done {
			return
		}
		<-changed
	}
}

func (a *answering) change() {
	close(a.changed)
	a.changed = make(chan struct{})
}

// heard is the state of an answer for one listener.
type heard struct {
	piece   string // what is new
	offset  int    // in bytes, behind it
	over    bool
	result  *store.ChatAnswer
	err     error
	changed <-chan struct{}
}

// from returns what there is behind the offset.
func (a *answering) from(offset int) heard {
	a.mu.Lock()
	defer a.mu.Unlock()
	offset = max(0, min(offset, len(a.text)))
	for offset > 0 && offset < len(a.text) && !utf8.RuneStart(a.text[offset]) {
		offset-- // nobody was told such an offset
	}
	return heard{a.text[offset:], len(a.text), a.over, a.result, a.err, a.changed}
}
