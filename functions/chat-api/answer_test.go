package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/assistant"
	"ingestion.internal/shared/publicapi"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
)

// elsewhere has a message said whose answer another instance is making until
// the lease ends.
func (g *guest) elsewhere(number int64, text string, lease time.Duration) {
	g.t.Helper()
	if _, err := g.db.Tenant(storetest.Acme).Say(g.t.Context(), g.opened.SessionID, store.ChatMessage{Number: number, Text: text}, "elsewhere", lease,
		store.ChatBounds{Quiet: time.Minute, Messages: 10, Chars: 100}); err != nil {
		g.t.Fatal(err)
	}
}

// Where the instance dies that was to answer, the next to ask makes the answer,
// whether it comes before or after the lease has ended, and hears it as it is
// made.
func TestTakeover(t *testing.T) {
	for name, lease := range map[string]time.Duration{"before": time.Second, "after": -time.Second} {
		for _, accept := range []string{"application/json", asks} {
			t.Run(name+"/"+strings.TrimPrefix(accept, "application/"), func(t *testing.T) {
				asked := new(atomic.Int64)
				f := newFixtureWith(t, assisted(), model([]string{"Yes. ", "We remodel kitchens."}, nil, asked))
				g := f.open(`{"tenant_id":"acme"}`)
				g.elsewhere(1, "Kitchens?", lease)
				got := g.say(`{"number":1,"text":"Kitchens?"}`, "Accept", accept)
				const whole = "Yes. We remodel kitchens."
				if accept == asks {
					// Sentences that come at once may be told at once.
					events := slices.DeleteFunc(names(eventsOf(got.body)), func(e string) bool { return e == "delta 1.4" })
					if diff := cmp.Diff([]string{"accepted 1.0", fmt.Sprintf("delta 1.%d", len(whole)), "done 1.end"}, events); diff != "" {
						t.Errorf("(-want +got)\n%s", diff)
					}
				}
				var a answered
				g.say(`{"number":1,"text":"Kitchens?"}`).into(t, http.StatusOK, &a)
				if diff := cmp.Diff(reply{whole, "assistant", "done"}, a.Answer); diff != "" || asked.Load() != 1 {
					t.Errorf("the model was asked %d times (-want +got)\n%s", asked.Load(), diff)
				}
			})
		}
	}
}

// What another instance says is heard here.
func TestAnsweredElsewhere(t *testing.T) {
	f := newFixture(t, chatting(nil))
	g := f.open(`{"tenant_id":"acme"}`)
	g.elsewhere(1, "Kitchens?", time.Minute)
	heard := make(chan answer)
	go func() { heard <- g.get("", "Accept", asks) }()
	if _, _, err := f.db.Tenant(storetest.Acme).Answer(t.Context(), g.opened.SessionID, 1, "elsewhere", store.ChatAnswer{Text: "Yes.", By: "assistant"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"accepted 1.0", "delta 1.4", "done 1.end"}, names(eventsOf((<-heard).body))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// An answer that nobody waits for any more is not looked for; those who wait
// look for it together.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	h, looked, ended := newHub(), 0, make(chan error, 1)
	look := func(ctx context.Context, a *answering) {
		looked++
		<-ctx.Done()
		a.finish(nil, context.Cause(ctx))
		ended <- context.Cause(ctx)
	}
	request, gone := context.WithCancel(t.Context())
	first := h.join(request, "acme/1", look)
	second := h.join(t.Context(), "acme/1", look)
	if first != second {
		t.Error("it is looked for twice")
	}
	gone()
	h.leave("acme/1", first)
	select {
	case err := <-ended:
		t.Fatalf("the other one waits still: %v", err)
	default:
	}
	h.leave("acme/1", second)
	if err := <-ended; !errors.Is(err, context.Canceled) || looked != 1 {
		t.Errorf("looked %d times, ended by %v", looked, err)
	}
	if len(h.running) != 0 {
		t.Errorf("it is still known: %v", h.running)
	}
}

// panicking is an assistant with a defect.
type panicking struct{ after string }

func (p panicking) Answer(_ context.Context, _ []string, _ []assistant.Turn, say func(string)) error {
	if p.after != "" {
		say(p.after)
	}
	panic("a defect")
}

// A defect in the making of an answer ends in a fixed sentence, not in the
// instance's end.
func TestPanic(t *testing.T) {
	f := newFixture(t, assisted())
	for after, want := range map[string]reply{"": {fallback, "notice", "done"}, "Yes.": {"Yes. " + fallback, "assistant", "done"}} {
		h := &handler{db: f.db, assistant: panicking{after}, running: newHub(), answers: newAllowance(time.Now), guard: publicapi.NewGuard(publicapi.Config{TrustedHops: -1}, nil)}
		router := chi.NewRouter()
		h.mount(router)
		server := httptest.NewServer(router)
		g := f.open(`{"tenant_id":"acme"}`)
		g.fixture = &fixture{t: t, db: f.db, server: server}
		var a answered
		g.say(`{"number":1,"text":"x"}`).into(t, http.StatusOK, &a)
		if diff := cmp.Diff(want, a.Answer); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		server.Close()
	}
}

// slowReader is a connection whose page does not read: a write ends by its
// deadline, if it has one.
type slowReader struct {
	*httptest.ResponseRecorder

	deadline time.Time
	full     bool
}

func (s *slowReader) SetWriteDeadline(at time.Time) error {
	s.deadline = at
	return nil
}

func (s *slowReader) Write(b []byte) (int, error) {
	if !s.full {
		return s.ResponseRecorder.Write(b)
	}
	if s.deadline.IsZero() {
		return 0, errors.New("this write lasts for ever")
	}
	return 0, http.ErrHandlerTimeout
}

// A page that does not read is given up, and one that does has its connection
// back as it was.
func TestWriteDeadline(t *testing.T) {
	t.Parallel()
	page := &slowReader{ResponseRecorder: httptest.NewRecorder()}
	s := newStream(page, t.Context())
	s.event("1.0", "accepted", nil)
	if page.deadline.IsZero() {
		t.Error("a write has no end")
	}
	s.end()
	if !page.deadline.IsZero() {
		t.Errorf("a deadline is left: %s", page.deadline)
	}
	page.full = true
	if s.message(acceptance{Number: 1}, true, newAnswering(), 0, true) || !s.gone {
		t.Error("the page is still there")
	}
	if page.deadline.IsZero() {
		t.Error("the write that failed had no end")
	}
}
