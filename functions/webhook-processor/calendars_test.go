package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"google.golang.org/api/option"

	"ingestion.internal/shared/calendar"
	"ingestion.internal/shared/calendar/calendartest"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/tenant"
)

// withCalendars connects a calendar of each tenant's, reads it once and opens
// the channel of the tenant's name, with a token of its own.
func withCalendars(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t, nil)
	for _, declared := range storetest.Manifest().Tenants {
		id := "visits@" + declared.ID + ".example"
		declared.Calendars = []tenant.Calendar{{ID: id}}
		h := f.db.Tenant(declared.ID)
		if _, err := h.Sync(t.Context(), declared); err != nil {
			t.Fatal(err)
		}
		if err := h.AddChannel(t.Context(), id, declared.ID, "token-of-"+declared.ID, "https://gateway.example"); err != nil {
			t.Fatal(err)
		}
		if err := h.OpenChannel(t.Context(), id, declared.ID, "res-"+declared.ID, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	f.readAll()
	return f
}

// readAll has all calendars read, so that none is due.
func (f *fixture) readAll() {
	f.t.Helper()
	due, err := f.db.DueCalendars(f.t.Context(), 10)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, key := range due {
		c, err := f.db.Tenant(key.TenantID).ClaimCalendar(f.t.Context(), key.CalendarID, time.Minute)
		if err != nil {
			f.t.Fatal(err)
		}
		if err := f.db.Tenant(key.TenantID).FinishCalendar(f.t.Context(), c, store.CalendarTurn{SyncToken: "t", Next: time.Now().Add(time.Hour)}); err != nil {
			f.t.Fatal(err)
		}
	}
}

// due tells whose calendars are due.
func (f *fixture) due() string {
	f.t.Helper()
	keys, err := f.db.DueCalendars(f.t.Context(), 10)
	if err != nil {
		f.t.Fatal(err)
	}
	all := ""
	for _, key := range keys {
		all += key.TenantID + " "
	}
	return all
}

func (f *fixture) notify(channel, token, resource, state, number string) *httptest.ResponseRecorder {
	f.t.Helper()
	req := httptest.NewRequestWithContext(f.t.Context(), http.MethodPost, "/api/v1/calendar/notifications", nil)
	req.Header = http.Header{
		"X-Goog-Channel-Id": {channel}, "X-Goog-Resource-Id": {resource}, "X-Goog-Resource-State": {state}, "X-Goog-Message-Number": {number},
	}
	if token != "" {
		req.Header.Set("X-Goog-Channel-Token", token)
	}
	rec := httptest.NewRecorder()
	f.router.ServeHTTP(rec, req)
	return rec
}

// TestCalendarNotification: it makes its own calendar due, and has it read.
func TestCalendarNotification(t *testing.T) {
	f := withCalendars(t)
	for _, tt := range []struct {
		name, state, number string
		due                 string
		tasks               int
	}{
		{"the_channel_is_open", "sync", "1", "", 0},
		{"changed", "exists", "3", "acme ", 1},
		{"the_same_again", "exists", "3", "acme ", 2},
		{"an_earlier_one_later", "exists", "2", "acme ", 3},
		{"gone", "not_exists", "4", "acme ", 4},
	} {
		if rec := f.notify("acme", "token-of-acme", "res-acme", tt.state, tt.number); rec.Code != http.StatusNoContent || rec.Body.Len() != 0 {
			t.Errorf("%s: status %d: %s", tt.name, rec.Code, rec.Body)
		}
		if got := f.due(); got != tt.due {
			t.Errorf("%s: due is %q, want %q", tt.name, got, tt.due)
		}
		tasks := f.google.Tasks(calendarQueue)
		if len(tasks) != tt.tasks {
			t.Errorf("%s: %d tasks, want %d", tt.name, len(tasks), tt.tasks)
		}
		for _, task := range tasks {
			if got, want := string(task.GetHttpRequest().GetBody()), `{"tenant_id":"acme","calendar_id":"visits@acme.example"}`; got != want {
				t.Errorf("%s: task %s, want %s", tt.name, got, want)
			}
		}
	}
	f.readAll()
	// Without its queue the calendar is the clock's, and Google is told that all
	// is well.
	f.google.Fail(http.StatusServiceUnavailable)
	if rec := f.notify("acme", "token-of-acme", "res-acme", "exists", "5"); rec.Code != http.StatusNoContent {
		t.Errorf("without the queue: status %d: %s", rec.Code, rec.Body)
	}
	if got := f.due(); got != "acme " {
		t.Errorf("without the queue: due is %q", got)
	}
}

// TestCalendarNotificationRefused: whatever is wrong has one answer, and changes
// nothing.
func TestCalendarNotificationRefused(t *testing.T) {
	f := withCalendars(t)
	if err := f.db.Tenant(storetest.Bolt).CloseChannel(t.Context(), "visits@bolt.example", "bolt"); err != nil {
		t.Fatal(err)
	}
	bodies := map[string]bool{}
	for name, tt := range map[string]struct{ channel, token, resource, state string }{
		"unknown_channel":  {"nobody", "token-of-acme", "res-acme", "exists"},
		"wrong_token":      {"acme", "other", "res-acme", "exists"},
		"no_token":         {"acme", "", "res-acme", "exists"},
		"unknown_no_token": {"nobody", "", "res-acme", "exists"},
		"others_token":     {"acme", "token-of-bolt", "res-acme", "exists"},
		"others_resource":  {"acme", "token-of-acme", "res-bolt", "exists"},
		"closed_channel":   {"bolt", "token-of-bolt", "res-bolt", "exists"},
		"wrong_sync":       {"acme", "other", "res-acme", "sync"},
	} {
		rec := f.notify(tt.channel, tt.token, tt.resource, tt.state, "2")
		if rec.Code != http.StatusUnauthorized {
			t.Errorf("%s: status %d, want 401", name, rec.Code)
		}
		bodies[rec.Body.String()] = true
	}
	if len(bodies) != 1 {
		t.Errorf("the refusals differ: %v", bodies)
	}
	if rec := f.notify("acme", "token-of-acme", "res-acme", "changed", "x"); rec.Code != http.StatusBadRequest {
		t.Errorf("no notification: status %d, want 400", rec.Code)
	}
	// A tenant that is not served any more.
	if err := f.db.Tenant(storetest.Acme).Deactivate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rec := f.notify("acme", "token-of-acme", "res-acme", "exists", "2"); rec.Code != http.StatusUnauthorized {
		t.Errorf("a tenant that left: status %d, want 401", rec.Code)
	}
	if n := len(f.google.Tasks(calendarQueue)); n != 0 {
		t.Errorf("%d tasks, want none", n)
	}
}

// TestGooglesOwnNotifications are those of a calendar, over the wire, from the
// first message on, which comes before the channel's resource is known.
func TestGooglesOwnNotifications(t *testing.T) {
	f := withCalendars(t)
	google := calendartest.New()
	api, service := httptest.NewServer(google), httptest.NewServer(f.router)
	defer api.Close()
	defer service.Close()
	client, err := calendar.NewClient(t.Context(), api.URL, option.WithoutAuthentication())
	if err != nil {
		t.Fatal(err)
	}
	const id = "visits@acme.example"
	address := service.URL + "/api/v1/calendar/notifications"
	h := f.db.Tenant(storetest.Acme)
	if err := h.AddChannel(t.Context(), id, "new", "secret", address); err != nil {
		t.Fatal(err)
	}
	resource, expires, err := client.Watch(t.Context(), id, "new", "secret", address, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.OpenChannel(t.Context(), id, "new", resource, expires); err != nil {
		t.Fatal(err)
	}
	if _, err := google.Put(id, "e1", []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	for i, sent := range google.Sent() {
		if sent.Status != http.StatusNoContent {
			t.Errorf("message %d was answered %d", i, sent.Status)
		}
	}
	if got := f.due(); len(google.Sent()) != 2 || got != "acme " {
		t.Errorf("%d messages, due is %q", len(google.Sent()), got)
	}
	if _, err := f.db.Directory().Channel(t.Context(), "another"); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
}
