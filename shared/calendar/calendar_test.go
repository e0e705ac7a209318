package calendar_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	api "google.golang.org/api/calendar/v3"
	"google.golang.org/api/option"

	"ingestion.internal/shared/booking"
	"ingestion.internal/shared/calendar"
	"ingestion.internal/shared/calendar/calendartest"
)

func headers() http.Header {
	return http.Header{
		"X-Goog-Channel-Id": {"ch-1"}, "X-Goog-Channel-Token": {"secret"}, "X-Goog-Channel-Expiration": {"Wed, 02 Dec 2026 10:00:00 GMT"},
		"X-Goog-Resource-Id": {"res"}, "X-Goog-Resource-Uri": {"https://www.googleapis.com/x"}, "X-Goog-Resource-State": {"exists"}, "X-Goog-Message-Number": {"10"},
	}
}

func TestParseNotification(t *testing.T) {
	t.Parallel()
	got, err := calendar.ParseNotification(headers())
	want := calendar.Notification{ChannelID: "ch-1", Token: "secret", ResourceID: "res", State: calendar.Exists, Number: 10, ExpiresAt: time.Date(2026, 12, 2, 10, 0, 0, 0, time.UTC)}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	for name, tt := range map[string]struct {
		header string
		values []string
		want   string // "" = accepted
	}{
		"no_token":        {"X-Goog-Channel-Token", nil, ""},
		"no_expiration":   {"X-Goog-Channel-Expiration", nil, ""},
		"no_uri":          {"X-Goog-Resource-Uri", nil, ""},
		"sync":            {"X-Goog-Resource-State", []string{"sync"}, ""},
		"not_exists":      {"X-Goog-Resource-State", []string{"not_exists"}, ""},
		"no_channel":      {"X-Goog-Channel-Id", nil, "X-Goog-Channel-ID is missing"},
		"empty_channel":   {"X-Goog-Channel-Id", []string{""}, "X-Goog-Channel-ID is missing"},
		"long_channel":    {"X-Goog-Channel-Id", []string{strings.Repeat("x", 65)}, "at most 64 printable"},
		"two_channels":    {"X-Goog-Channel-Id", []string{"a", "b"}, "is there twice"},
		"two_tokens":      {"X-Goog-Channel-Token", []string{"a", "b"}, "is there twice"},
		"control":         {"X-Goog-Resource-Id", []string{"a\x01"}, "printable"},
		"no_state":        {"X-Goog-Resource-State", nil, "X-Goog-Resource-State is missing"},
		"unknown_state":   {"X-Goog-Resource-State", []string{"update"}, "must be sync, exists or not_exists"},
		"no_number":       {"X-Goog-Message-Number", nil, "X-Goog-Message-Number is missing"},
		"zero":            {"X-Goog-Message-Number", []string{"0"}, "a number from 1"},
		"negative":        {"X-Goog-Message-Number", []string{"-1"}, "a number from 1"},
		"no_date_of_HTTP": {"X-Goog-Channel-Expiration", []string{"tomorrow"}, "date of HTTP"},
	} {
		h := headers()
		delete(h, tt.header)
		if tt.values != nil {
			h[tt.header] = tt.values
		}
		_, err := calendar.ParseNotification(h)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	if _, err := calendar.ParseNotification(http.Header{}); err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("nothing at all: %v", err)
	}
}

func FuzzParseNotification(f *testing.F) {
	f.Add("ch-1", "secret", "Wed, 02 Dec 2026 10:00:00 GMT", "res", "https://x", "exists", "10")
	f.Add("", "", "", "", "", "sync", "9999999999999999999999")
	f.Fuzz(func(t *testing.T, id, token, expiration, resource, uri, state, number string) {
		h := http.Header{
			"X-Goog-Channel-Id": {id}, "X-Goog-Channel-Token": {token}, "X-Goog-Channel-Expiration": {expiration},
			"X-Goog-Resource-Id": {resource}, "X-Goog-Resource-Uri": {uri}, "X-Goog-Resource-State": {state}, "X-Goog-Message-Number": {number},
		}
		n, err := calendar.ParseNotification(h)
		if err != nil {
			return
		}
		if n.ChannelID != id || n.Token != token || n.ResourceID != resource || n.Number < 1 || len(n.ChannelID) > 64 {
			t.Errorf("%+v of %v", n, h)
		}
	})
}

var source = calendar.Source{
	TenantID: "acme", CalendarID: "visits@acme.example", OfficeID: "north", OwnDomains: []string{"acme.example"},
	TimeZone: "America/Los_Angeles", ConnectedAt: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
}

const visit = `{"id":"e1","status":"confirmed","updated":"2026-11-20T10:00:00.123Z","sequence":1,"eventType":"default",
	"summary":"Kitchen  estimate","description":"<p>Call <b>(310) 555-0142</b> first<br>Gate 12 &amp; 13</p>","location":"270 N Rodeo Dr, Beverly Hills, CA 90210",
	"start":{"dateTime":"2026-12-04T10:00:00-08:00","timeZone":"America/Los_Angeles"},"end":{"dateTime":"2026-12-04T11:00:00-08:00"},
	"organizer":{"email":"visits@acme.example","self":true},
	"attendees":[{"email":"visits@acme.example","self":true,"organizer":true},{"email":"Sales@Acme.example"},{"email":"room@resource.calendar.google.com","resource":true},{"email":"Robin@Example.com","displayName":"Robin Example"}]}`

func event(t testing.TB, text string, changes ...string) *api.Event {
	t.Helper()
	e := &api.Event{}
	documents := json.NewDecoder(strings.NewReader(text + strings.Join(changes, "")))
	for documents.More() {
		if err := documents.Decode(e); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// guests is a change that has these guests alone.
func guests(these string) string { return `{"attendees":null}{"attendees":[` + these + `]}` }

// answered is what the customer's answer to an invitation changes.
func answered(updated, response string) string {
	return `{"updated":"` + updated + `"}` + guests(`{"email":"robin@example.com","displayName":"Robin Example","responseStatus":"`+response+`"}`)
}

func TestBooking(t *testing.T) {
	t.Parallel()
	got, why, err := calendar.Booking(event(t, visit), source, nil)
	if err != nil || got == nil {
		t.Fatalf("%v, %s", err, why)
	}
	var body, want any
	if err := json.Unmarshal(got.Body, &body); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(`{"tenant_id":"acme","booking_id":"`+calendar.BookingID("visits@acme.example", "e1")+`","office_id":"north","status":"booked",
		"updated_at":"2026-11-20T10:00:00.123Z","starts_at":"2026-12-04T10:00:00-08:00","ends_at":"2026-12-04T11:00:00-08:00","time_zone":"America/Los_Angeles",
		"customer":{"name":"Robin Example","phone":"+13105550142","email":"robin@example.com","address":"270 N Rodeo Dr, Beverly Hills, CA 90210","zip":"90210"},
		"service":"Kitchen estimate","notes":"Call (310) 555-0142 first\nGate 12 & 13",
		"calendar":{"calendar_id":"visits@acme.example","event_id":"e1"}}`), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(dropEmpty(want), dropEmpty(body)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for name, tt := range map[string]struct {
		changes string
		want    string // part of the reason that it is no booking; "" = it is one
	}{
		"all_day":                {`{"start":{"date":"2026-12-04","dateTime":""},"end":{"date":"2026-12-05","dateTime":""}}`, ""},
		"series":                 {`{"recurrence":["RRULE:FREQ=WEEKLY"]}`, ""},
		"tentative":              {`{"status":"tentative"}`, ""},
		"only_a_number":          {`{"attendees":[]}`, ""},
		"only_an_address":        {`{"attendees":[],"description":"robin@example.com"}`, ""},
		"private_properties":     {`{"attendees":[],"description":"","extendedProperties":{"private":{"customer_phone":"310 555 0142"}}}`, ""},
		"no_end":                 {`{"end":null}`, ""},
		"no_customer":            {`{"attendees":[{"email":"sales@acme.example"}],"description":"Weekly, room 12, ask sales@acme.example"}`, "it has no customer"},
		"instance_of_a_series":   {`{"recurringEventId":"e0"}`, "one instance of a series"},
		"free":                   {`{"transparency":"transparent"}`, "leaves its time free"},
		"birthday":               {`{"eventType":"birthday"}`, "of type birthday"},
		"no_time":                {`{"start":null,"end":null}`, "has no time"},
		"over":                   {`{"start":{"dateTime":"2026-10-01T10:00:00Z"},"end":{"dateTime":"2026-10-01T11:00:00Z"}}`, "over before"},
		"cancelled_and_unknown":  {`{"status":"cancelled"}`, "cancelled before it was known"},
		"declined_and_unknown":   {guests(`{"email":"robin@example.com","responseStatus":"declined"}`), "its customer declined"},
		"one_guest_comes":        {guests(`{"email":"robin@example.com","responseStatus":"declined"},{"email":"kim@example.com","responseStatus":"needsAction"}`), ""},
		"own_guest_declined":     {guests(`{"email":"sales@acme.example","responseStatus":"declined"},{"email":"robin@example.com"}`), ""},
		"over_and_without_end":   {`{"start":{"dateTime":"2026-10-01T10:00:00Z"},"end":null}`, "over before"},
		"series_that_began_then": {`{"recurrence":["RRULE:FREQ=WEEKLY"],"start":{"dateTime":"2026-10-01T10:00:00Z"},"end":{"dateTime":"2026-10-01T11:00:00Z"}}`, "over before"},
	} {
		e := event(t, visit, tt.changes)
		if name == "no_end" || name == "over_and_without_end" {
			e.End = nil
		}
		if name == "no_time" {
			e.Start, e.End = nil, nil
		}
		got, why, err := calendar.Booking(e, source, nil)
		if err != nil || (got != nil) != (tt.want == "") || !strings.Contains(why, tt.want) {
			t.Errorf("%s: %v, %q, %v; want %q", name, got, why, err, tt.want)
		}
		if name == "all_day" && !strings.Contains(string(got.Body), `"starts_at":"2026-12-04T00:00:00-08:00"`) {
			t.Errorf("%s: %s", name, got.Body)
		}
	}
	for name, changes := range map[string]string{
		"no_time_of_the_change": `{"updated":""}`,
		"not_a_date":            `{"start":{"dateTime":"soon"}}`,
	} {
		if got, _, err := calendar.Booking(event(t, visit, changes), source, nil); err == nil {
			t.Errorf("%s: %s", name, got.Body)
		}
	}
}

func dropEmpty(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	out := map[string]any{}
	for k, v := range m {
		if v != "" {
			out[k] = dropEmpty(v)
		}
	}
	return out
}

// TestBookingIsFollowed: what is known as a booking is moved, cancelled and taken
// back, and what is read twice is the same twice.
func TestBookingIsFollowed(t *testing.T) {
	t.Parallel()
	var known *booking.Event
	for _, step := range []struct {
		name, changes string
		want          booking.Status
	}{
		{"booked", `{}`, booking.Booked},
		{"a_word_more", `{"updated":"2026-11-20T11:00:00Z","summary":"Kitchen and bath"}`, booking.Booked},
		{"moved", `{"updated":"2026-11-20T12:00:00Z","start":{"dateTime":"2026-12-05T10:00:00-08:00"},"end":{"dateTime":"2026-12-05T11:00:00-08:00"}}`, booking.Moved},
		{"no_customer_any_more", `{"updated":"2026-11-20T13:00:00Z","start":{"dateTime":"2026-12-05T10:00:00-08:00"},"end":{"dateTime":"2026-12-05T11:00:00-08:00"},"description":"","attendees":[],"transparency":"transparent"}`, booking.Moved},
		{"cancelled", "", booking.Cancelled},
		{"taken_back", `{"updated":"2026-11-20T14:00:00Z"}`, booking.Booked},
		{"declined", answered("2026-11-20T15:00:00Z", "declined"), booking.Cancelled},
		{"comes", answered("2026-11-20T16:00:00Z", "accepted"), booking.Booked},
		{"declined_at_no_time_of_its_own", answered("2026-11-20T16:00:00Z", "declined"), booking.Cancelled},
		{"comes_at_no_time_of_its_own", answered("2026-11-20T16:00:00Z", "tentative"), booking.Booked},
		{"moved_after_it", `{"updated":"2026-11-20T17:00:00Z","start":{"dateTime":"2026-12-06T10:00:00-08:00"},"end":{"dateTime":"2026-12-06T11:00:00-08:00"}}`, booking.Moved},
	} {
		e := &api.Event{Id: "e1", Status: "cancelled"}
		if step.changes != "" {
			e = event(t, visit, step.changes)
		}
		got, why, err := calendar.Booking(e, source, known)
		if err != nil || got == nil {
			t.Fatalf("%s: %v, %s", step.name, err, why)
		}
		if got.Status != step.want {
			t.Errorf("%s: %s, want %s", step.name, got.Status, step.want)
		}
		if known != nil && known.Compare(*got) >= 0 {
			t.Errorf("%s does not come after what is known", step.name)
		}
		again, _, err := calendar.Booking(e, source, got)
		if err != nil || string(again.Body) != string(got.Body) {
			t.Errorf("%s: read again: %v\n%s\n%s", step.name, err, got.Body, again.Body)
		}
		known = got
	}
}

func FuzzBooking(f *testing.F) {
	f.Add([]byte(visit), []byte(`{}`))
	f.Add([]byte(visit), []byte(`{"status":"cancelled"}`))
	f.Add([]byte(`{"id":"e","start":{"date":"2026-12-04"},"updated":"2026-11-20T11:00:00Z","description":"+1 (310) 555-0142"}`), []byte(`{"end":{"date":"x"}}`))
	f.Fuzz(func(t *testing.T, first, change []byte) {
		e := &api.Event{}
		if json.Unmarshal(first, e) != nil {
			return
		}
		known, _, err := calendar.Booking(e, source, nil)
		if err != nil || known == nil {
			return
		}
		if parsed, err := booking.Parse(known.Body); err != nil || parsed.TenantID != "acme" || parsed.BookingID != calendar.BookingID(source.CalendarID, e.Id) {
			t.Fatalf("%v: %s", err, known.Body)
		}
		if json.Unmarshal(change, e) != nil {
			return
		}
		next, _, err := calendar.Booking(e, source, known)
		if err != nil || next == nil {
			return
		}
		if _, err := booking.Fold([]booking.Event{*next, *known}); err != nil {
			t.Error(err)
		}
		if known.Compare(*next) > 0 {
			return // Google's times do not go back; a fuzzer's do
		}
		again, _, err := calendar.Booking(e, source, next)
		if err != nil || again == nil || string(again.Body) != string(next.Body) {
			t.Errorf("read again: %v\n%s\n%v", err, next.Body, again)
		}
	})
}

// FuzzRead reads what a server that is not Google's might answer, behind the real
// client.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"timeZone":"America/Los_Angeles","items":[` + visit + `],"nextSyncToken":"t"}`))
	f.Add([]byte(`{"items":[null,{"id":"e","status":"cancelled"}],"nextPageToken":"p"}`))
	f.Add([]byte(`{"items":{},"nextSyncToken":7}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		pages := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if pages++; pages > 1 {
				body = []byte(`{"nextSyncToken":"end"}`)
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(body)
		}))
		defer server.Close()
		client, err := calendar.NewClient(t.Context(), server.URL, option.WithoutAuthentication())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		token, err := client.Read(ctx, "cal@acme.example", "", time.Time{}, func(page []*api.Event, zone string) error {
			for _, e := range page {
				from := source
				from.TimeZone = zone
				if _, _, err := calendar.Booking(e, from, nil); err == nil && e.Id == "" && e.Status == "" && e.Updated == "" {
					t.Errorf("%s was read as a booking", body)
				}
			}
			return nil
		})
		if ctx.Err() != nil {
			t.Errorf("%q was not read to its end: %v", body, err)
		}
		if err == nil && token == "" {
			t.Errorf("%s was read to its end without a token", body)
		}
	})
}

// connect starts a calendar and a client of it.
func connect(t *testing.T) (*calendartest.Server, *calendar.Client) {
	t.Helper()
	s := calendartest.New()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	client, err := calendar.NewClient(t.Context(), server.URL, option.WithoutAuthentication())
	if err != nil {
		t.Fatal(err)
	}
	return s, client
}

func read(t *testing.T, c *calendar.Client, token string, since time.Time) ([]string, string) {
	t.Helper()
	var found []string
	next, err := c.Read(t.Context(), "cal@acme.example", token, since, func(page []*api.Event, zone string) error {
		for _, e := range page {
			found = append(found, e.Id+" "+e.Status+" "+zone)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found, next
}

func put(t *testing.T, s *calendartest.Server, id, changes string) {
	t.Helper()
	if _, err := s.Put("cal@acme.example", id, []byte(changes)); err != nil {
		t.Fatal(err)
	}
}

// TestRead reads in pages, then only what has changed, and says when a token has
// expired.
func TestRead(t *testing.T) {
	t.Parallel()
	s, c := connect(t)
	s.PageSize = 2
	since := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for i := range 5 {
		put(t, s, fmt.Sprintf("e%d", i), fmt.Sprintf(`{"start":{"dateTime":"2026-12-0%dT10:00:00Z"},"end":{"dateTime":"2026-12-0%dT11:00:00Z"}}`, i+1, i+1))
	}
	put(t, s, "old", `{"start":{"dateTime":"2020-12-01T10:00:00Z"},"end":{"dateTime":"2020-12-01T11:00:00Z"}}`)
	const zone = " America/Los_Angeles"
	found, token := read(t, c, "", since)
	if diff := cmp.Diff([]string{"e0 confirmed" + zone, "e1 confirmed" + zone, "e2 confirmed" + zone, "e3 confirmed" + zone, "e4 confirmed" + zone}, found); diff != "" {
		t.Errorf("at first (-want +got)\n%s", diff)
	}
	if found, token = read(t, c, token, since); len(found) != 0 {
		t.Errorf("nothing has changed: %v", found)
	}
	put(t, s, "e3", `{"summary":"x"}`)
	if err := s.Cancel("cal@acme.example", "e1"); err != nil {
		t.Fatal(err)
	}
	put(t, s, "old", `{"summary":"what is over may change"}`)
	found, token = read(t, c, token, since)
	if diff := cmp.Diff([]string{"e3 confirmed" + zone, "e1 cancelled" + zone, "old confirmed" + zone}, found); diff != "" {
		t.Errorf("what has changed (-want +got)\n%s", diff)
	}
	s.Expire("cal@acme.example")
	none := func([]*api.Event, string) error { t.Error("an event"); return nil }
	if _, err := c.Read(t.Context(), "cal@acme.example", token, since, none); !errors.Is(err, calendar.ErrTokenExpired) {
		t.Errorf("an expired token: %v", err)
	}
	found, _ = read(t, c, "", since)
	if !slices.Contains(found, "e1 cancelled"+zone) || len(found) != 5 {
		t.Errorf("anew: %v", found)
	}
	stop := errors.New("stop")
	if _, err := c.Read(t.Context(), "cal@acme.example", "", since, func([]*api.Event, string) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("an error of the reader's: %v", err)
	}
}

// TestWatch: a channel tells of changes until it is stopped.
func TestWatch(t *testing.T) {
	t.Parallel()
	s, c := connect(t)
	var heard []string
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := calendar.ParseNotification(r.Header)
		heard = append(heard, fmt.Sprint(n.ChannelID, n.Token, n.ResourceID, n.State, n.Number, err))
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(receiver.Close)
	until := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	resource, expires, err := c.Watch(t.Context(), "cal@acme.example", "ch", "secret", receiver.URL, until)
	if err != nil || !expires.Equal(until) {
		t.Fatalf("until %s, want %s: %v", expires, until, err)
	}
	if _, _, err := c.Watch(t.Context(), "cal@acme.example", "ch", "secret", receiver.URL, until); err == nil {
		t.Error("two channels have one id")
	}
	if _, _, err := c.Watch(t.Context(), "cal@acme.example", "ch2", "secret", "http://gateway.example/x", until); err == nil || calendar.NoAccess(err) {
		t.Errorf("an address without TLS: %v", err)
	}
	put(t, s, "e1", `{}`)
	for range 2 { // stopped twice
		if err := c.Stop(t.Context(), "ch", resource); err != nil {
			t.Fatal(err)
		}
	}
	put(t, s, "e1", `{}`)
	if diff := cmp.Diff([]string{fmt.Sprint("ch", "secret", resource, calendar.Sync, 1, nil), fmt.Sprint("ch", "secret", resource, calendar.Exists, 2, nil)}, heard); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestNoAccess tells what only the calendar's owner can mend.
func TestNoAccess(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status int
		body   string
		want   bool
	}{
		"not_found": {404, `{"error":{"code":404,"errors":[{"reason":"notFound"}]}}`, true},
		"forbidden": {403, `{"error":{"code":403,"errors":[{"reason":"forbidden"}]}}`, true},
		"by_rate":   {403, `{"error":{"code":403,"errors":[{"reason":"rateLimitExceeded"}]}}`, false},
		"by_user":   {403, `{"error":{"code":403,"errors":[{"domain":"usageLimits","reason":"userRateLimitExceeded"}]}}`, false},
		"by_quota":  {403, `{"error":{"code":403,"errors":[{"domain":"usageLimits","reason":"quotaExceeded"}]}}`, false},
		"too_many":  {429, `{"error":{"code":429}}`, false},
		"away":      {501, `{}`, false},
		"nonsense":  {200, `{"items":[]}`, false},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(tt.status)
			fmt.Fprint(w, tt.body)
		}))
		t.Cleanup(server.Close)
		c, err := calendar.NewClient(t.Context(), server.URL, option.WithoutAuthentication())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err = c.Read(ctx, "a@b.example", "", time.Now(), func([]*api.Event, string) error { return nil })
		if err == nil || calendar.NoAccess(err) != tt.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
