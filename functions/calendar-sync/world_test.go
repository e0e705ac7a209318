package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/api/option"

	"ingestion.internal/shared/booking"
	"ingestion.internal/shared/calendar"
	"ingestion.internal/shared/calendar/calendartest"
	"ingestion.internal/shared/gcp"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/tenant"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/wirefake"
)

const (
	calendarID    = "visits@acme.example"
	analysisQueue = "projects/p/locations/l/queues/ai-analysis"
)

// world is a service with a database, a calendar and what receives the
// calendar's notifications, over loopback.
type world struct {
	t      *testing.T
	db     *store.DB
	google *calendartest.Server
	tasks  *wirefake.Server
	worker *worker
	router http.Handler
	later  atomic.Int64 // how far all clocks are ahead

	address  string // of the receiver
	mu       sync.Mutex
	received []calendar.Notification
	broken   atomic.Int64 // requests to the API from now on that are let through; then they fail. Negative = all
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, google: calendartest.New()}
	w.broken.Store(-1)
	wirefake.Credentials(t)
	w.tasks = wirefake.New(t, nil)
	w.db = storetest.Open(t, store.WithClock(w.now))
	w.google.Now = w.now
	api := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if left := w.broken.Load(); left == 0 {
			calendartest.Refuse(rw, http.StatusForbidden, "broken") // which the client does not retry
			return
		} else if left > 0 {
			w.broken.Add(-1)
		}
		w.google.ServeHTTP(rw, r)
	}))
	t.Cleanup(api.Close)
	// It does with a notification what the webhook processor does.
	receiver := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		n, err := calendar.ParseNotification(r.Header)
		if err != nil {
			t.Error(err)
		}
		w.mu.Lock()
		w.received = append(w.received, n)
		w.mu.Unlock()
		c, err := w.db.Directory().Channel(r.Context(), n.ChannelID)
		if err != nil || !c.Proves(n.Token) {
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		if n.State != calendar.Sync {
			if err := w.db.Tenant(c.TenantID).Notified(r.Context(), c.CalendarID, c.ID, n.Number); err != nil {
				t.Error(err)
			}
		}
		rw.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(receiver.Close)
	w.address = receiver.URL
	client, err := calendar.NewClient(t.Context(), api.URL, option.WithoutAuthentication())
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := gcp.CloudTasks(t.Context(), w.tasks.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tasks.Close() })
	enqueuer := pipeline.NewEnqueuer(tasks, pipeline.TasksConfig{ServiceAccount: "tasks@p.iam.gserviceaccount.com"},
		pipeline.Targets{topology.AIAnalysis.Queue(): {Queue: analysisQueue, ServiceURL: "https://analyzer.example"}})
	w.worker = &worker{db: w.db, enqueuer: enqueuer, calendars: client, batch: 10, lease: time.Minute, now: w.now}
	s := service.New(service.Config{MaxBodyBytes: 10_000}, slog.Default())
	w.worker.mount(s.Router)
	w.router = s.Router
	w.connect(calendarID)
	return w
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.later.Load())) }

func (w *world) wait(d time.Duration) { w.later.Add(int64(d)) }

// connect declares the calendars of the first tenant.
func (w *world) connect(ids ...string) {
	w.t.Helper()
	var calendars []tenant.Calendar
	for _, id := range ids {
		calendars = append(calendars, tenant.Calendar{ID: id, OwnDomains: []string{"acme.example"}})
	}
	w.declare(calendars...)
}

func (w *world) declare(calendars ...tenant.Calendar) {
	w.t.Helper()
	declared := storetest.Manifest().Tenants[0]
	declared.Calendars = calendars
	if _, err := w.db.Tenant(declared.ID).Sync(w.t.Context(), declared); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) post(path string, body any, want int) string {
	w.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	req := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, path, strings.NewReader(string(text)))
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	w.router.ServeHTTP(rec, req)
	if rec.Code != want {
		w.t.Fatalf("%s: status %d, want %d: %s", path, rec.Code, want, rec.Body)
	}
	return strings.TrimSpace(rec.Body.String())
}

// clock is a run of the schedule's, task one of the queue's.
func (w *world) clock(want string) {
	w.t.Helper()
	if got := w.post(topology.CalendarsPath, topology.CalendarsRun{Address: w.address}, http.StatusOK); got != want {
		w.t.Errorf("the clock did %s, want %s", got, want)
	}
}

func (w *world) task(want string) {
	w.t.Helper()
	if got := w.post(topology.Calendars.Path(), store.CalendarKey{TenantID: storetest.Acme, CalendarID: calendarID}, http.StatusOK); got != want {
		w.t.Errorf("the task did %s, want %s", got, want)
	}
}

const robin = `"summary":"Estimate","attendees":[{"email":"robin@example.com","displayName":"Robin"}],"description":"(310) 555-0142","location":"90210"`

// put writes an event of a visit on a day from now.
func (w *world) put(id string, days int, more string) {
	w.t.Helper()
	at := w.now().UTC().Truncate(time.Hour).Add(time.Duration(days) * 24 * time.Hour)
	changes := `{"start":{"dateTime":"` + at.Format(time.RFC3339) + `"},"end":{"dateTime":"` + at.Add(time.Hour).Format(time.RFC3339) + `"}`
	if more != "" {
		changes += "," + more
	}
	if _, err := w.google.Put(calendarID, id, []byte(changes+"}")); err != nil {
		w.t.Fatal(err)
	}
	w.wait(time.Millisecond) // two changes have two times
}

// booking returns the request of an event, or nil, its state and how many events
// it has heard of.
func (w *world) booking(id string) (*store.Request, booking.Status, int) {
	w.t.Helper()
	h := w.db.Tenant(storetest.Acme)
	requestID := store.RequestID(storetest.Acme, store.SourceCalendar, calendar.BookingID(calendarID, id))
	events, err := h.Events(w.t.Context(), requestID)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(events) == 0 {
		return nil, "", 0
	}
	request, err := h.Request(w.t.Context(), requestID)
	if err != nil {
		w.t.Fatal(err)
	}
	return request, booking.StatusOf(request.Payload), len(events)
}

// want checks a booking's state, and how many events it has heard of.
func (w *world) want(id string, status booking.Status, events int) {
	w.t.Helper()
	if _, got, n := w.booking(id); got != status || n != events {
		w.t.Errorf("%s is %q after %d events, want %q after %d", id, got, n, status, events)
	}
}
