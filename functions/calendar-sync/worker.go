package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"
	"golang.org/x/sync/errgroup"
	api "google.golang.org/api/calendar/v3"

	"ingestion.internal/shared/logging"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/problem"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/telemetry"
	"ingestion.internal/shared/tenant"
	"ingestion.internal/shared/topology"
)

const (
	minLease = 30 * time.Second
	// quiet is how long a calendar may go without a turn. Google's
	// notifications are not sure to come
	// (https://developers.google.com/workspace/calendar/api/guides/push, 2026-11-25).
	quiet = time.Hour
	// retry is the pause after a first failure, doubled up to quiet.
	retry = 10 * time.Second
	// parallel is how many calendars one run reads at a time.
	parallel = 4
	// turns is how often one task takes a calendar up that changes meanwhile;
	// after that it is the clock's.
	turns         = 3
	finishTimeout = 5 * time.Second
)

// calendars is what the worker needs of the Calendar API.
type calendars interface {
	Read(ctx context.Context, calendarID, token string, since time.Time, each func(page []*api.Event, timeZone string) error) (string, error)
	Watch(ctx context.Context, calendarID, channelID, token, address string, until time.Time) (resourceID string, expires time.Time, err error)
	Stop(ctx context.Context, channelID, resourceID string) error
}

type worker struct {
	db        *store.DB
	enqueuer  *pipeline.Enqueuer
	calendars calendars
	batch     int
	lease     time.Duration
	now       func() time.Time
}

func (w *worker) mount(r chi.Router) {
	receive := r.With(service.RequireJSON)
	receive.Method(http.MethodPost, topology.Calendars.Path(), service.Handler(w.task))
	receive.Method(http.MethodPost, topology.CalendarsPath, service.Handler(w.run))
}

// task handles the queue's tasks: 200 once nothing is left to do about the
// calendar, also where its turn failed, because then the clock takes it up
// again; 5xx if the database is away.
func (w *worker) task(rw http.ResponseWriter, r *http.Request) error {
	var key store.CalendarKey
	if err := readJSON(r, &key); err != nil || !tenant.ValidID(key.TenantID) || key.CalendarID == "" {
		return problem.New(problem.BadRequest, "the body does not name a calendar")
	}
	did := 0
	for range turns { // it may have changed again while it was read
		if _, err := w.turn(r.Context(), key, ""); notMine(err) {
			break
		} else if err != nil {
			return err
		}
		did++
	}
	service.WriteJSON(rw, http.StatusOK, map[string]int{"turns": did})
	return nil
}

// notMine tells that there is nothing to do here about a calendar: it is not
// due, not there, or another worker's by now.
func notMine(err error) bool {
	return errors.Is(err, store.ErrNotDue) || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrLostClaim)
}

// summary is what a run of the clock did.
type summary struct {
	Found  int   `json:"found"`
	Failed int64 `json:"failed"`
}

// run handles the schedule's call: 200 with what was done, 503 if the database
// is away. That a calendar cannot be read is kept with it, and does not fail
// the run.
func (w *worker) run(rw http.ResponseWriter, r *http.Request) error {
	var clock topology.CalendarsRun
	if err := readJSON(r, &clock); err != nil || clock.Address == "" {
		return problem.New(problem.BadRequest, "the body does not name the address for notifications")
	}
	due, err := w.db.DueCalendars(r.Context(), w.batch)
	if err != nil {
		return err
	}
	var failed atomic.Int64
	group, ctx := errgroup.WithContext(r.Context())
	group.SetLimit(parallel)
	for _, key := range due {
		group.Go(func() error {
			ok, err := w.turn(logging.Apart(ctx), key, clock.Address)
			if notMine(err) {
				return nil // another worker's
			}
			if !ok {
				failed.Add(1)
			}
			return err
		})
	}
	err = group.Wait()
	did := summary{len(due), failed.Load()}
	outcome := telemetry.OK
	if err != nil {
		outcome = telemetry.Failed
	}
	slog.InfoContext(r.Context(), "run of calendars ended", slog.String(telemetry.Event, telemetry.CalendarsEnded), slog.String(telemetry.Outcome, outcome),
		slog.Int("found", did.Found), slog.Int64("failed", did.Failed))
	if err != nil {
		return err
	}
	service.WriteJSON(rw, http.StatusOK, did)
	return nil
}

func readJSON(r *http.Request, v any) error {
	body, err := service.ReadBody(r)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, v)
}

// turn is one turn at a calendar: its channel is looked after, and what has
// changed is recorded. address is where notifications go; without one, where
// those of its open channel go. It tells whether all went well; an error is the
// database's, or says that the turn is not this worker's.
func (w *worker) turn(ctx context.Context, key store.CalendarKey, address string) (bool, error) {
	ctx = logging.With(logging.WithTenant(ctx, key.TenantID), slog.String("calendar", key.CalendarID))
	handle := w.db.Tenant(key.TenantID)
	c, err := handle.ClaimCalendar(ctx, key.CalendarID, w.lease)
	if err != nil {
		return false, err
	}
	start := w.now()
	// The turn ends before its lease, so that its result is still its own.
	work, cancel := context.WithTimeout(ctx, w.lease-w.lease/8)
	defer cancel()
	token, count, workErr := w.work(work, handle, c, address)

	done := store.CalendarTurn{SyncToken: token}
	now := w.now()
	switch {
	case workErr != nil:
		done.Failure, done.Next = pipeline.Cause(workErr), now.Add(min(retry<<min(c.Failures, 10), quiet))
	case c.Active:
		done.Next = now.Add(quiet)
	}
	record, cancelRecord := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancelRecord()
	if err := handle.FinishCalendar(record, c, done); err != nil {
		return false, err
	}
	if workErr != nil {
		reason := "failed"
		if noAccess(workErr) {
			reason = "no_access"
		}
		slog.ErrorContext(ctx, "a calendar is not followed", slog.String(telemetry.Event, telemetry.CalendarSyncFailed),
			slog.String(telemetry.Reason, reason), slog.Int("failures", c.Failures+1), slog.String("cause", done.Failure))
		return false, nil
	}
	slog.InfoContext(ctx, "calendar read", slog.String(telemetry.Event, telemetry.CalendarSynced), slog.Float64(telemetry.Seconds, now.Sub(start).Seconds()),
		slog.Int(telemetry.Count, count.read), slog.Int("recorded", count.recorded))
	return true, nil
}

// work does a turn's work. The token may be there beside an error: then only the
// channel is at fault.
func (w *worker) work(ctx context.Context, handle *store.Tenant, c *store.Calendar, address string) (string, counts, error) {
	if !c.Active {
		return "", counts{}, w.closeAll(ctx, handle, c.ID)
	}
	// What changes from here on is told of, and what has changed is read after:
	// nothing falls between the two.
	channelErr := w.keepChannel(ctx, handle, c.ID, address)
	token, count, err := w.read(ctx, handle, c)
	return token, count, errors.Join(channelErr, err)
}

// counts is how many events were read, and how many of them are bookings.
type counts struct{ read, recorded int }

// read records what has changed in the calendar, and returns the token from
// which to go on. Every event is recorded before there is a token.
func (w *worker) read(ctx context.Context, handle *store.Tenant, c *store.Calendar) (string, counts, error) {
	var count counts
	record := func(page []*api.Event, zone string) error {
		recorded, err := w.record(ctx, handle, c, page, zone)
		count.read += len(page)
		count.recorded += recorded
		return err
	}
	token, err := w.calendars.Read(ctx, c.ID, c.SyncToken, c.ConnectedAt, record)
	if isExpired(err) {
		slog.WarnContext(ctx, "the sync token has expired: the calendar is read anew")
		count = counts{}
		token, err = w.calendars.Read(ctx, c.ID, "", c.ConnectedAt, record)
	}
	if err != nil {
		return "", count, fmt.Errorf("read: %w", err)
	}
	return token, count, nil
}
