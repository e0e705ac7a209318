package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	api "google.golang.org/api/calendar/v3"

	"ingestion.internal/shared/booking"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/telemetry"
	"ingestion.internal/shared/telemetry/telemetrytest"
	"ingestion.internal/shared/tenant"
	"ingestion.internal/shared/topology"
)

const (
	one     = `{"found":1,"failed":0}`
	none    = `{"found":0,"failed":0}`
	failing = `{"found":1,"failed":1}`
)

// TestBookingFollowsItsEvent: from a notification to its request, through a move,
// a cancellation and its taking back.
func TestBookingFollowsItsEvent(t *testing.T) {
	w := newWorld(t)
	w.put("before", 2, robin)
	w.clock(one) // opens the channel and reads what is there
	w.want("before", booking.Booked, 1)
	w.clock(none)

	w.put("e1", 3, robin)
	w.task(`{"turns":1}`)
	w.want("e1", booking.Booked, 1)
	request, _, _ := w.booking("e1")
	if request.CustomerPhone != "+13105550142" || request.CustomerEmail != "robin@example.com" || request.CustomerName != "Robin" || request.PostalCode != "90210" {
		t.Errorf("%+v", request)
	}
	if n := len(w.tasks.Tasks(analysisQueue)); n != 2 {
		t.Errorf("%d tasks for the analysis, want 2", n)
	}
	w.task(`{"turns":0}`) // a notification that came twice

	w.put("e1", 5, "")
	w.task(`{"turns":1}`)
	w.want("e1", booking.Moved, 2)
	if err := w.google.Cancel(calendarID, "e1"); err != nil {
		t.Fatal(err)
	}
	w.task(`{"turns":1}`)
	w.want("e1", booking.Cancelled, 3)
	w.put("e1", 6, "")
	w.task(`{"turns":1}`)
	w.want("e1", booking.Booked, 4)
	w.want("before", booking.Booked, 1)
}

// TestOnlyBookingsAreRecorded.
func TestOnlyBookingsAreRecorded(t *testing.T) {
	w := newWorld(t)
	w.put("meeting", 2, `"attendees":[{"email":"sales@acme.example"}]`)
	w.put("free", 2, robin+`,"transparency":"transparent"`)
	w.put("last_year", -365, robin)
	w.put("instance", 2, robin+`,"recurringEventId":"series"`)
	w.put("series", 2, robin+`,"recurrence":["RRULE:FREQ=WEEKLY"]`)
	w.put("broken", 2, robin+`,"start":{"dateTime":"soon"}`) // keeps nobody back
	w.put("last", 2, robin)
	w.clock(one)
	for id, want := range map[string]int{"meeting": 0, "free": 0, "last_year": 0, "instance": 0, "series": 1, "broken": 0, "last": 1} {
		if _, _, n := w.booking(id); n != want {
			t.Errorf("%s: %d events, want %d", id, n, want)
		}
	}
}

// TestLostNotification: the clock reads what nobody told of.
func TestLostNotification(t *testing.T) {
	w := newWorld(t)
	w.clock(one)
	w.google.Lose = true
	w.put("e1", 3, robin)
	w.clock(none)
	w.want("e1", "", 0)
	w.wait(quiet)
	w.clock(one)
	w.want("e1", booking.Booked, 1)
}

// TestExpiredToken: the calendar is read anew, and what is known stays one.
func TestExpiredToken(t *testing.T) {
	w := newWorld(t)
	w.put("e1", 3, robin)
	w.put("e2", 3, robin)
	w.clock(one)
	w.google.Lose = true
	w.put("e2", 4, "")
	if err := w.google.Cancel(calendarID, "e1"); err != nil {
		t.Fatal(err)
	}
	w.google.Expire(calendarID)
	w.wait(quiet)
	w.clock(one)
	w.want("e1", booking.Cancelled, 2)
	w.want("e2", booking.Moved, 2)
	w.google.Expire(calendarID)
	w.wait(quiet)
	w.clock(one) // and again: nothing is new
	w.want("e1", booking.Cancelled, 2)
	w.want("e2", booking.Moved, 2)
}

// TestChannelIsRenewed before it ends: the new one is open before the old one is
// closed, and what the old one says in between counts.
func TestChannelIsRenewed(t *testing.T) {
	w := newWorld(t)
	w.clock(one)
	first := w.google.Channels()
	if len(first) != 1 {
		t.Fatalf("%d channels, want 1", len(first))
	}
	for range 5 { // quiet days change nothing
		w.wait(24 * time.Hour)
		w.clock(one)
	}
	if now := w.google.Channels(); len(now) != 1 || now[0].ID != first[0].ID {
		t.Fatalf("after five days: %v", now)
	}
	w.wait(25 * time.Hour)
	old := &stopper{calendars: w.worker.calendars, before: func() { w.put("e1", 3, robin) }}
	w.worker.calendars = old
	w.clock(one)
	second := w.google.Channels()
	if len(second) != 1 || second[0].ID == first[0].ID || old.stopped != 1 {
		t.Fatalf("after six days: %v, %d stopped", second, old.stopped)
	}
	old.before = func() {}
	w.want("e1", booking.Booked, 1)
	told := map[string]bool{}
	for _, n := range w.received[1:] {
		if n.State == "exists" {
			told[n.ChannelID] = true
		}
	}
	if !told[first[0].ID] || !told[second[0].ID] {
		t.Errorf("while there were two channels, told %v", told)
	}
	for _, sent := range w.google.Sent() {
		if sent.Status != http.StatusNoContent {
			t.Errorf("a message was answered %d: %v", sent.Status, sent.Header)
		}
	}
	// A busy calendar's channel is renewed by the queue, which does not know the
	// address: the channel does.
	w.wait(145 * time.Hour)
	w.put("e1", 4, "")
	w.task(`{"turns":1}`)
	if third := w.google.Channels(); len(third) != 1 || third[0].ID == second[0].ID || third[0].Address != w.address {
		t.Errorf("by the queue: %v", third)
	}
	// And another address is another channel.
	w.address += "/new"
	w.wait(quiet)
	w.clock(one)
	if fourth := w.google.Channels(); len(fourth) != 1 || fourth[0].Address != w.address {
		t.Errorf("at another address: %v", fourth)
	}
}

// stopper does something before a channel is stopped.
type stopper struct {
	calendars
	before  func()
	stopped int
}

func (s *stopper) Stop(ctx context.Context, channelID, resourceID string) error {
	s.before()
	s.stopped++
	return s.calendars.Stop(ctx, channelID, resourceID)
}

// TestTwoWorkers: one reads a calendar at a time, and what happens meanwhile is
// read by it as well.
func TestTwoWorkers(t *testing.T) {
	w := newWorld(t)
	w.clock(one)
	w.put("e1", 3, robin)
	reader := &meanwhile{calendars: w.worker.calendars}
	reader.once = func() {
		w.task(`{"turns":0}`) // another worker
		w.clock(one)          // and the clock, to which it is due
		w.put("e2", 3, robin) // and another change
	}
	w.worker.calendars = reader
	w.task(`{"turns":2}`)
	w.want("e1", booking.Booked, 1)
	w.want("e2", booking.Booked, 1)
	w.clock(none)
}

// meanwhile does something once after the calendar has been read, before anybody
// knows.
type meanwhile struct {
	calendars
	once func()
}

func (m *meanwhile) Read(ctx context.Context, id, token string, since time.Time, each func([]*api.Event, string) error) (string, error) {
	next, err := m.calendars.Read(ctx, id, token, since, each)
	if once := m.once; once != nil {
		m.once = nil
		once()
	}
	return next, err
}

// TestCrashBetweenPages: nothing is lost, nothing is there twice. A crash leaves
// its lease behind, a failure does not.
func TestCrashBetweenPages(t *testing.T) {
	w := newWorld(t)
	w.google.PageSize = 2
	w.clock(one)
	for i := range 5 {
		w.put(fmt.Sprint("e", i), 3, robin)
	}
	w.broken.Store(1) // the first page of three
	w.task(`{"turns":1}`)
	w.want("e1", booking.Booked, 1)
	w.want("e2", "", 0)
	w.broken.Store(-1)
	w.task(`{"turns":0}`) // not before its time
	w.wait(retry)

	crash := errors.New("the process is gone")
	func() {
		defer func() {
			if recover() != crash { //nolint:errorlint // it is this very one
				t.Error("no crash")
			}
		}()
		w.worker.calendars = &crasher{w.worker.calendars, crash}
		_, _ = w.worker.turn(t.Context(), store.CalendarKey{TenantID: storetest.Acme, CalendarID: calendarID}, "")
	}()
	w.worker.calendars = w.worker.calendars.(*crasher).calendars
	w.want("e3", booking.Booked, 1)
	w.want("e4", "", 0)
	w.task(`{"turns":0}`)
	w.wait(w.worker.lease)
	w.clock(one)
	for i := range 5 {
		w.want(fmt.Sprint("e", i), booking.Booked, 1)
	}
}

// crasher ends the process, as far as a test can, before the last page is read.
type crasher struct {
	calendars
	err error
}

func (c *crasher) Read(ctx context.Context, id, token string, since time.Time, each func([]*api.Event, string) error) (string, error) {
	n := 0
	return c.calendars.Read(ctx, id, token, since, func(page []*api.Event, zone string) error {
		if n += len(page); n > 4 {
			panic(c.err)
		}
		return each(page, zone)
	})
}

// TestMoreThanOneTurnReads: a reading that is begun anew does not record again
// what the one before has recorded, so that it gets further.
func TestMoreThanOneTurnReads(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	w := newWorld(t)
	w.google.PageSize = 2
	w.clock(one)
	for i := range 5 {
		w.put(fmt.Sprint("e", i), 3, robin)
	}
	w.broken.Store(2) // two pages of three
	w.task(`{"turns":1}`)
	w.want("e3", booking.Booked, 1)
	w.want("e4", "", 0)
	w.broken.Store(-1)
	w.put("e1", 4, "")
	w.task(`{"turns":1}`)
	w.google.Expire(calendarID)
	w.put("e2", 4, "")
	w.task(`{"turns":1}`)
	for id, status := range map[string]booking.Status{"e0": booking.Booked, "e1": booking.Moved, "e2": booking.Moved, "e3": booking.Booked, "e4": booking.Booked} {
		w.want(id, status, map[booking.Status]int{booking.Booked: 1, booking.Moved: 2}[status])
	}
	outcomes := map[string]int{}
	for line := range bytes.Lines(log.Bytes()) {
		var said struct{ Event, Outcome string }
		if err := json.Unmarshal(line, &said); err != nil {
			t.Fatal(err)
		}
		if said.Event == telemetry.RequestAccepted {
			outcomes[said.Outcome]++
		}
	}
	if diff := cmp.Diff(map[string]int{"new": 5, "revised": 2}, outcomes); diff != "" {
		t.Errorf("what was recorded (-want +got)\n%s", diff)
	}
}

// TestCalendarThatIsNotShared keeps nobody else's back, is tried less and less
// often, and is followed once it is shared.
func TestCalendarThatIsNotShared(t *testing.T) {
	w := newWorld(t)
	w.google.Authorize = func(_ *http.Request, id string) error {
		if id == "other@acme.example" {
			return errors.New("Not Found")
		}
		return nil
	}
	w.connect(calendarID, "other@acme.example")
	w.put("e1", 3, robin)
	w.clock(`{"found":2,"failed":1}`)
	w.want("e1", booking.Booked, 1)
	w.clock(none)
	for i := range 3 {
		w.wait(retry << i)
		w.clock(failing)
		w.clock(none)
	}
	w.google.Authorize = nil
	w.wait(retry << 3)
	w.clock(one)
	if n := len(w.google.Channels()); n != 2 {
		t.Errorf("%d channels, want 2", n)
	}
	if w.wait(quiet); t.Failed() {
		return
	}
	w.clock(`{"found":2,"failed":0}`)
}

// TestOwnDomains: when the config says otherwise who is of the company, what was
// skipped before is looked at again, also if the calendar is just being read.
func TestOwnDomains(t *testing.T) {
	wrong := tenant.Calendar{ID: calendarID, OwnDomains: []string{"acme.example", "example.com"}}
	right := tenant.Calendar{ID: calendarID, OwnDomains: []string{"acme.example"}}
	for name, correct := range map[string]func(*world){
		"between": func(w *world) {
			w.clock(one)
			w.want("e1", "", 0)
			w.declare(right)
			w.clock(one)
		},
		"meanwhile": func(w *world) {
			w.worker.calendars = &meanwhile{w.worker.calendars, func() { w.declare(right) }}
			w.clock(one)
			w.want("e1", "", 0)
			w.clock(one)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.declare(wrong)
			w.put("e1", 3, `"attendees":[{"email":"robin@example.com"}]`)
			correct(w)
			w.want("e1", booking.Booked, 1)
			w.clock(none)
			w.declare(right) // the same again
			w.clock(none)
			w.want("e1", booking.Booked, 1)
		})
	}
}

// TestCustomerDeclines: an invitation that its customer declines is a booking
// cancelled, until the customer changes her mind.
func TestCustomerDeclines(t *testing.T) {
	w := newWorld(t)
	w.put("e1", 3, robin)
	w.clock(one)
	for i, step := range []struct {
		response string
		want     booking.Status
	}{{"declined", booking.Cancelled}, {"accepted", booking.Booked}} {
		w.put("e1", 3, `"attendees":[{"email":"robin@example.com","responseStatus":"`+step.response+`"}]`)
		w.task(`{"turns":1}`)
		w.want("e1", step.want, i+2)
	}
}

// TestDisconnected: the channel of a calendar that left the config is closed, and
// that of a tenant that is not served any more.
func TestDisconnected(t *testing.T) {
	for name, leave := range map[string]func(*world){
		"calendar": func(w *world) { w.connect() },
		"tenant": func(w *world) {
			if err := w.db.Tenant(storetest.Acme).Deactivate(w.t.Context()); err != nil {
				w.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.clock(one)
			leave(w)
			w.google.Lose = true
			w.put("e1", 3, robin)
			w.clock(one)
			if n := len(w.google.Channels()); n != 0 {
				t.Errorf("%d channels, want none", n)
			}
			w.want("e1", "", 0)
			w.wait(1000 * time.Hour)
			w.clock(none)
		})
	}
}

// TestCalendarAndCallAreLinked: one person's call and the visit that follows.
func TestCalendarAndCallAreLinked(t *testing.T) {
	w := newWorld(t)
	call := store.Request{
		RequestID: store.RequestID(storetest.Acme, store.SourceCallRail, "CAL1"), Source: store.SourceCallRail,
		CommunicationMode: store.ModePhoneCall, CallID: "CAL1", CustomerPhone: "+13105550142",
	}
	if _, err := storetest.Accept(t.Context(), w.db.Tenant(storetest.Acme), call, topology.AudioProcessing); err != nil {
		t.Fatal(err)
	}
	w.put("e1", 3, robin)
	w.clock(one)
	visit, _, _ := w.booking("e1")
	links, err := w.db.Tenant(storetest.Acme).History(t.Context(), visit, time.Time{})
	if err != nil || len(links) != 1 || links[0].RequestID != call.RequestID {
		t.Errorf("%+v, %v", links, err)
	}
}

// TestRefusedTasks.
func TestRefusedTasks(t *testing.T) {
	w := newWorld(t)
	w.post(topology.Calendars.Path(), map[string]string{"tenant_id": "../x", "calendar_id": calendarID}, http.StatusBadRequest)
	w.post(topology.Calendars.Path(), []int{1}, http.StatusBadRequest)
	w.post(topology.CalendarsPath, map[string]string{}, http.StatusBadRequest)
	if got := w.post(topology.Calendars.Path(), store.CalendarKey{TenantID: storetest.Bolt, CalendarID: calendarID}, http.StatusOK); got != `{"turns":0}` {
		t.Errorf("another tenant's: %s", got)
	}
}

// TestLog keeps what the alert on calendars is made of.
func TestLog(t *testing.T) {
	log := telemetrytest.Capture(t, topology.CalendarSync)
	w := newWorld(t)
	w.put("e1", 3, robin)
	w.put("broken", 3, robin+`,"start":{"dateTime":"soon"}`)
	w.clock(one)
	w.put("e1", 4, "")
	w.task(`{"turns":1}`)
	w.put("e1", 5, "")
	w.broken.Store(0)
	w.task(`{"turns":1}`)
	w.broken.Store(-1)
	w.connect()
	w.clock(one)
	log.Golden()
}

// TestWhateverHappens: changes, lost and doubled notifications, expired tokens,
// failures between pages and runs of the clock in any order end with bookings
// that say what the calendar says.
func TestWhateverHappens(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			w := newWorld(t)
			w.google.PageSize = 1 + random.IntN(3)
			ids := []string{"a", "b", "c", "d"}
			task := func() {
				w.post(topology.Calendars.Path(), store.CalendarKey{TenantID: storetest.Acme, CalendarID: calendarID}, http.StatusOK)
			}
			clock := func() { w.post(topology.CalendarsPath, topology.CalendarsRun{Address: w.address}, http.StatusOK) }
			for range 60 {
				id := ids[random.IntN(len(ids))]
				switch random.IntN(10) {
				case 0, 1, 2:
					w.put(id, 1+random.IntN(20), robin)
				case 3:
					_ = w.google.Cancel(calendarID, id) // it may not be there
					w.wait(time.Millisecond)
				case 4:
					w.google.Lose = !w.google.Lose
				case 5:
					w.google.Expire(calendarID)
				case 6:
					w.broken.Store(int64(random.IntN(4)) - 1)
				case 7, 8:
					task()
				case 9:
					w.wait(time.Duration(random.IntN(60)) * time.Minute)
					clock()
				}
			}
			w.broken.Store(-1)
			for range 2 {
				w.wait(quiet)
				clock()
			}
			for _, id := range ids {
				event := w.google.Event(calendarID, id)
				request, status, _ := w.booking(id)
				switch {
				case event == nil || event.Status == "cancelled":
					if request != nil && status != booking.Cancelled {
						t.Errorf("%s is %s, and not in the calendar", id, status)
					}
				case request == nil || status == booking.Cancelled:
					t.Errorf("%s is in the calendar and is %q", id, status)
				default:
					var said struct {
						StartsAt string `json:"starts_at"`
					}
					if err := json.Unmarshal(request.Payload, &said); err != nil || said.StartsAt != event.Start.DateTime {
						t.Errorf("%s is at %s, and in the calendar at %s: %v", id, said.StartsAt, event.Start.DateTime, err)
					}
				}
			}
		})
	}
}
