package calendar

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
	api "google.golang.org/api/calendar/v3"
	"google.golang.org/api/option"

	"ingestion.internal/local/standin/fault"
	"ingestion.internal/local/standin/internal/gapitest"
	"ingestion.internal/shared/calendar"
)

// start returns the stand-in, its address and the platform's own client of it,
// as a caller.
func start(t *testing.T, caller string) (*Server, string, *calendar.Client) {
	t.Helper()
	s := New(Config{Identity: gapitest.Identity{}, Shared: func(principal string) bool { return principal == "calendar-sync" }})
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	client, err := calendar.NewClient(t.Context(), server.URL, option.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: caller})))
	if err != nil {
		t.Fatal(err)
	}
	return s, server.URL, client
}

func read(ctx context.Context, c *calendar.Client, token string) ([]string, string, error) {
	var found []string
	next, err := c.Read(ctx, "a@b.example", token, time.Now(), func(page []*api.Event, _ string) error {
		for _, e := range page {
			found = append(found, e.Id+" "+e.Status+" "+e.Summary)
		}
		return nil
	})
	return found, next, err
}

func ask(t *testing.T, method, address, body string, want int) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		t.Errorf("%s %s: status %d, want %d: %s, %v", method, address, resp.StatusCode, want, text, err)
	}
	return text
}

// TestOwner: what the owner of a calendar does is told of and listed.
func TestOwner(t *testing.T) {
	t.Parallel()
	_, address, client := start(t, "calendar-sync")
	var told []string
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told = append(told, r.Header.Get("X-Goog-Resource-State")+r.Header.Get("X-Goog-Message-Number"))
		if len(told) == 2 {
			w.WriteHeader(http.StatusServiceUnavailable) // Google sends that again
		}
	}))
	t.Cleanup(receiver.Close)
	if _, _, err := client.Watch(t.Context(), "a@b.example", "ch", "secret", receiver.URL, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	event := address + "/_admin/calendars/a@b.example/events/e1"
	ask(t, http.MethodGet, event, "", http.StatusNotFound)
	ask(t, http.MethodDelete, event, "", http.StatusNotFound)
	ask(t, http.MethodPut, event, "[]", http.StatusBadRequest)
	ask(t, http.MethodPut, event, `{"summary":"Visit"}`, http.StatusOK)
	ask(t, http.MethodPut, event+"?untold=true", `{"description":"Second floor"}`, http.StatusOK)
	ask(t, http.MethodPut, event, `{"location":"90210"}`, http.StatusOK)
	if got := string(ask(t, http.MethodGet, event, "", http.StatusOK)); !strings.Contains(got, "Visit") || !strings.Contains(got, "90210") || !strings.Contains(got, "Second floor") {
		t.Errorf("a change is not laid over what there is: %s", got)
	}
	found, token, err := read(t.Context(), client, "")
	if err != nil {
		t.Fatal(err)
	}
	ask(t, http.MethodDelete, event, "", http.StatusNoContent)
	deleted, _, err := read(t.Context(), client, token)
	if diff := cmp.Diff([]string{"e1 confirmed Visit", "e1 cancelled "}, append(found, deleted...)); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{"sync1", "exists2", "exists2", "exists3", "exists4"}, told); diff != "" {
		t.Errorf("told (-want +got)\n%s", diff)
	}
	var state struct{ Channels, Sent []any }
	if err := json.Unmarshal(ask(t, http.MethodGet, address+"/_admin/channels", "", http.StatusOK), &state); err != nil || len(state.Channels) != 1 || len(state.Sent) != 5 {
		t.Errorf("%+v, %v", state, err)
	}
}

// TestCallers: a calendar that is not shared is not there.
func TestCallers(t *testing.T) {
	t.Parallel()
	_, address, other := start(t, "webhook-processor")
	if _, _, err := read(t.Context(), other, ""); !calendar.NoAccess(err) {
		t.Errorf("another account: %v", err)
	}
	if _, _, err := other.Watch(t.Context(), "a@b.example", "ch", "secret", "http://127.0.0.1:1", time.Now().Add(time.Hour)); !calendar.NoAccess(err) {
		t.Errorf("another account: %v", err)
	}
	for path, want := range map[string]int{
		"/calendar/v3/calendars/a@b.example/events":                   http.StatusUnauthorized,
		"/calendar/v3/calendars/a@b.example/acl":                      http.StatusNotFound,
		"/calendar/v3/users/me/calendarList":                          http.StatusNotFound,
		"/_admin/calendars/a%40b.example/events/none":                 http.StatusNotFound,
		"/calendar/v3/calendars/a@b.example/events?singleEvents=true": http.StatusUnauthorized,
	} {
		ask(t, http.MethodGet, address+path, "", want)
	}
}

// TestFaults: what the stand-in does wrong on command reaches the client as an
// error, and never as events or as a missing right.
func TestFaults(t *testing.T) {
	t.Parallel()
	for mode, want := range map[fault.Mode]string{
		fault.Fail:      "503",
		fault.RateLimit: "429",
		fault.Stall:     "context deadline exceeded",
		fault.Nonsense:  "the last page has no sync token",
	} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			s, _, client := start(t, "calendar-sync")
			if err := s.Faults.Set(fault.Fault{Mode: mode}); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			_, token, err := read(ctx, client, "")
			if err == nil || token != "" || calendar.NoAccess(err) || !strings.Contains(fmt.Sprint(err), want) {
				t.Errorf("%q, %v; want %q", token, err, want)
			}
			s.Faults.Clear()
			if _, _, err := read(t.Context(), client, ""); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}
