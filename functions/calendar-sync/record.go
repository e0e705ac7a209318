package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	api "google.golang.org/api/calendar/v3"

	"ingestion.internal/shared/booking"
	"ingestion.internal/shared/calendar"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/telemetry"
)

func isExpired(err error) bool { return errors.Is(err, calendar.ErrTokenExpired) }

func noAccess(err error) bool { return calendar.NoAccess(err) }

// record records those events of a page that are bookings, and returns how many
// they are. What is known of the page is read at once, and an event that is
// recorded already costs nothing more: a calendar with more events than are
// recorded in one turn is begun anew in the next, which must get further.
func (w *worker) record(ctx context.Context, handle *store.Tenant, c *store.Calendar, page []*api.Event, zone string) (int, error) {
	from := calendar.Source{
		TenantID: handle.ID(), CalendarID: c.ID, OfficeID: c.OfficeID, OwnDomains: c.OwnDomains, TimeZone: zone, ConnectedAt: c.ConnectedAt,
	}
	ids := make([]string, len(page))
	for i, e := range page {
		ids[i] = store.RequestID(handle.ID(), store.SourceCalendar, calendar.BookingID(c.ID, e.Id))
	}
	known, err := handle.EventsOf(ctx, ids)
	if err != nil {
		return 0, err
	}
	recorded := 0
	for i, e := range page {
		is, err := w.recordEvent(ctx, handle, from, e, known[ids[i]])
		if err != nil {
			return recorded, err
		}
		if is {
			recorded++
		}
	}
	return recorded, nil
}

// recordEvent records the event if it is a booking, and tells whether it is. An
// event that cannot be read must not keep the others back, so it is no error.
func (w *worker) recordEvent(ctx context.Context, handle *store.Tenant, from calendar.Source, e *api.Event, events []store.Event) (bool, error) {
	known, err := last(events)
	if err != nil {
		return false, err
	}
	event, why, err := calendar.Booking(e, from, known)
	if err != nil {
		slog.WarnContext(ctx, "an event of a calendar cannot be read", slog.String(telemetry.Event, telemetry.CalendarEventSkipped), slog.String("cause", pipeline.Cause(err)))
		return false, nil
	}
	if event == nil {
		slog.DebugContext(ctx, "an event of a calendar is no booking", slog.String("why", why))
		return false, nil
	}
	requestID, heard := booking.Heard(store.SourceCalendar, event)
	if slices.ContainsFunc(events, func(e store.Event) bool { return e.ID == heard.ID }) {
		return true, nil // what follows from it and was not sent is the sweeper's
	}
	if _, err := pipeline.RecordEvent(ctx, w.db, w.enqueuer, handle.ID(), requestID, store.ModeBooking, heard, booking.FoldRequest(store.SourceCalendar, handle.ID())); err != nil {
		return false, fmt.Errorf("record: %w", err)
	}
	return true, nil
}

// last returns the last of a booking's events, in the order in which they are
// folded, or nil.
func last(events []store.Event) (*booking.Event, error) {
	if len(events) == 0 {
		return nil, nil //nolint:nilnil // nothing is known of it
	}
	parsed := make([]booking.Event, len(events))
	for i, e := range events {
		p, err := booking.Parse(e.Payload)
		if err != nil {
			return nil, fmt.Errorf("event %s: %w", e.ID, err)
		}
		parsed[i] = *p
	}
	latest := slices.MaxFunc(parsed, booking.Event.Compare)
	return &latest, nil
}
