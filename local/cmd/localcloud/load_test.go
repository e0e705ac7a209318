package main

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/local/internal/cli"
	"ingestion.internal/local/internal/follow"
	"ingestion.internal/local/internal/load"
	"ingestion.internal/shared/booking"
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
	s := loadSender{tenant: "load", office: follow.Office{OfficeID: "main", CompanyID: "1"}, gateway: "http://gateway", chatURL: chats.URL, run: at, callKey: "k", bookingKey: []byte("b")}
	channels := s.channels()
	if d := cmp.Diff(slices.Sorted(slices.Values(cli.LoadChannels)), slices.Sorted(maps.Keys(channels))); d != "" {
		t.Errorf("cli.LoadChannels (-want +got):\n%s", d)
	}
	seen := map[string]bool{}
	for name, c := range channels {
		base := "http://gateway"
		if c.Before != nil {
			base = chats.URL
			if err := c.Before(t.Context(), 300); err != nil {
				t.Fatal(err)
			}
		}
		for n := range 300 {
			m, err := c.Message(n)
			if err != nil || !strings.HasPrefix(m.URL, base+"/api/v1/") || seen[m.RequestID] {
				t.Fatalf("%s %d: %+v, %v", name, n, m, err)
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
