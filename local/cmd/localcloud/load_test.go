package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/option"

	"ingestion.internal/local/internal/cli"
	"ingestion.internal/local/internal/follow"
	"ingestion.internal/local/internal/load"
	standin "ingestion.internal/local/standin/calendar"
	"ingestion.internal/shared/booking"
	"ingestion.internal/shared/calendar"
	"ingestion.internal/shared/callrail"
	"ingestion.internal/shared/form"
	"ingestion.internal/shared/signature"
	"ingestion.internal/shared/store"
)

// Every channel of the command line has messages, and no two make one request.
func TestLoadChannels(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 10, 20, 30, 0, time.UTC)
	chats := newChats(t)
	google := newCalendar(t)
	s := loadSender{
		tenant: "load", office: follow.Office{OfficeID: "main", CompanyID: "1"}, gateway: "http://gateway", chatURL: chats.URL, run: at,
		callKey: "k", bookingKey: []byte("b"), calendarURL: google.URL, calendarID: "visits@load.example", stored: google.stored,
	}
	channels := s.channels()
	if d := cmp.Diff(slices.Sorted(slices.Values(cli.LoadChannels)), slices.Sorted(maps.Keys(channels))); d != "" {
		t.Errorf("cli.LoadChannels (-want +got):\n%s", d)
	}
	seen := map[string]bool{}
	for name, c := range channels {
		base := "http://gateway"
		switch name {
		case "chat":
			base = chats.URL
		case "calendar":
			base = google.receiver
		}
		if c.Before != nil {
			if err := c.Before(t.Context(), 300); err != nil {
				t.Fatal(err)
			}
		}
		for n := range 300 {
			m, err := c.Message(n)
			if err != nil || !strings.HasPrefix(m.URL, base+"/api/v1/") || seen[m.RequestID] {
				t.Fatalf("%s %d: %+v, %v", name, n, m, err)
			}
			if name == "calendar" {
				google.note(t, m)
			}
			seen[m.RequestID] = true
		}
		if c.Between != nil {
			if err := c.Between(t.Context(), 300); err != nil {
				t.Fatal(err)
			}
		}
	}
	if opened, closed := chats.opened.Load(), chats.closed.Load(); opened != 300 || closed != 300 {
		t.Errorf("%d conversations were opened and %d closed, want 300", opened, closed)
	}
	// Every event is in the calendar, is the booking that is asked for, and was
	// told of by the messages only.
	if told := len(google.API.Sent()); told != 2 {
		t.Errorf("the calendar told %d times of itself, want 2, that its channels are open", told)
	}
	for n := range 300 {
		e := google.API.Event("visits@load.example", s.id(n))
		if e == nil {
			t.Fatalf("event %d is not in the calendar", n)
		}
		from := calendar.Source{TenantID: "load", CalendarID: "visits@load.example", OwnDomains: []string{"load.example"}, TimeZone: "UTC", ConnectedAt: time.Now()}
		b, why, err := calendar.Booking(e, from, nil)
		if err != nil || b == nil || !seen[store.RequestID("load", store.SourceCalendar, b.BookingID)] {
			t.Fatalf("event %d: %+v, %s, %v", n, b, why, err)
		}
	}
}

// googleCalendar is the stand-in with one open channel, and what has become of
// the notifications that it was sent.
type googleCalendar struct {
	*standin.Server
	URL      string
	receiver string

	mu    sync.Mutex
	known []string
}

func newCalendar(t *testing.T) *googleCalendar {
	t.Helper()
	g := &googleCalendar{Server: standin.New(standin.Config{})}
	g.API.Authorize = nil
	server := httptest.NewServer(g.Server)
	t.Cleanup(server.Close)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(receiver.Close)
	g.URL, g.receiver = server.URL, receiver.URL
	client, err := calendar.NewClient(t.Context(), server.URL, option.WithoutAuthentication())
	if err != nil {
		t.Fatal(err)
	}
	for id, of := range map[string]string{"another": "visits@other.example", "wanted": "visits@load.example"} {
		if _, _, err := client.Watch(t.Context(), of, id, "token of "+id, receiver.URL+"/api/v1/calendar", time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// note takes a message in as the platform does: it must be the channel's.
func (g *googleCalendar) note(t *testing.T, m load.Message) {
	t.Helper()
	n, err := calendar.ParseNotification(m.Header)
	if err != nil || n.ChannelID != "wanted" || n.Token != "token of wanted" || n.State != calendar.Exists || n.Number < 2 {
		t.Fatalf("notification %+v, %v", n, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.known = append(g.known, m.RequestID)
}

func (g *googleCalendar) stored(context.Context, string, time.Time) ([]string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.known), nil
}

// The command waits until the last event was read, and gives up waiting for one
// that never is, which is counted then.
func TestLoadWaitsForTheReading(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	l := &loadCalendar{loadSender: loadSender{tenant: "load", calendarID: "c", run: time.Now()}, poll: time.Millisecond}
	l.stored = func(context.Context, string, time.Time) ([]string, error) {
		return []string{l.requestID(0), l.requestID(1), l.requestID(2)}[:asked.Add(1)], nil
	}
	if err := l.read(t.Context(), 3); err != nil || asked.Load() != 3 {
		t.Errorf("%v after asking %d times, want 3", err, asked.Load())
	}
	err := l.await(t.Context(), time.Nanosecond, func(context.Context) (bool, error) { return false, nil })
	if !errors.Is(err, errPatience) {
		t.Errorf("what is never there: %v", err)
	}
	broken := errors.New("the database is away")
	l.stored = func(context.Context, string, time.Time) ([]string, error) { return nil, broken }
	if err := l.read(t.Context(), 3); !errors.Is(err, broken) {
		t.Errorf("%v, want %v", err, broken)
	}
	if err := (&loadCalendar{}).open(t.Context(), 1); err == nil {
		t.Error("a tenant without a calendar is sent notifications")
	}
}

// chats opens and closes conversations, and refuses tokens of others.
type chats struct {
	*httptest.Server
	opened, closed atomic.Int64
}

func newChats(t *testing.T) *chats {
	t.Helper()
	c := &chats{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/chat/sessions", func(w http.ResponseWriter, _ *http.Request) {
		n := c.opened.Add(1)
		fmt.Fprintf(w, `{"session_id":"s%d","token":"token of s%d"}`, n, n)
	})
	mux.HandleFunc("POST /api/v1/chat/sessions/{id}/close", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Chat-Token") != "token of "+r.PathValue("id") {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		c.closed.Add(1)
		fmt.Fprint(w, `{}`)
	})
	c.Server = httptest.NewServer(mux)
	t.Cleanup(c.Close)
	return c
}

// The platform reads the messages, and gives their requests the ids by which
// the database is asked.
func TestLoadMessages(t *testing.T) {
	t.Parallel()
	s := loadSender{tenant: "load", office: follow.Office{OfficeID: "main", CompanyID: "1"}, run: time.Now(), callKey: "k", bookingKey: []byte("b")}
	for name, subject := range map[string]func(load.Message) (source, id string, err error){
		"call": func(m load.Message) (string, string, error) {
			e, err := callrail.Parse(callrail.PostCall, m.Body)
			return store.SourceCallRail, e.CallID, err
		},
		"text": func(m load.Message) (string, string, error) {
			e, err := callrail.Parse(callrail.TextReceived, m.Body)
			return store.SourceCallRail, "conversation/" + e.ConversationID, err
		},
		"form": func(m load.Message) (string, string, error) {
			_, err := form.Read(m.Header.Get("Content-Type"), m.Body)
			return store.SourceForm, m.Header.Get("Idempotency-Key"), err
		},
		"booking": func(m load.Message) (string, string, error) {
			e, err := booking.Parse(m.Body)
			if err == nil {
				_, err = signature.Verify(m.Header.Get(booking.SignatureHeader), m.Body, time.Now(), s.bookingKey)
			}
			return store.SourceBooking, e.BookingID, err
		},
	} {
		m, err := s.channels()[name].Message(7)
		if err != nil {
			t.Fatal(err)
		}
		source, id, err := subject(m)
		if err != nil || store.RequestID("load", source, id) != m.RequestID {
			t.Errorf("%s: %s, %v\n%s", name, id, err, m.Body)
		}
	}
}

func TestLoadProblems(t *testing.T) {
	t.Parallel()
	r := loadRow{Result: load.Result{Channel: "form", Sent: 3, Accepted: 3}, Database: load.Check{Found: 3}}
	if p := r.problem(); p != "" {
		t.Error(p)
	}
	r.Accepted, r.Database = 2, load.Check{Found: 1, Missing: 1, Extra: 2}
	want := "form: 1 of 3 were not accepted, 1 were accepted and are not in the database, 2 requests are in the database that nobody sent"
	if p := r.problem(); p != want {
		t.Errorf("%q, want %q", p, want)
	}
}
