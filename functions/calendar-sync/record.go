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

// record records the event if it is a booking, and tells whether it is. An
// event that cannot be read must not keep the others back, so it is no error.
func (w *worker) record(ctx context.Context, handle *store.Tenant, c *store.Calendar, e *api.Event, zone string) (bool, error) {
	from := calendar.Source{
		TenantID: handle.ID(), CalendarID: c.ID, OfficeID: c.OfficeID, OwnDomains: c.OwnDomains, TimeZone: zone, ConnectedAt: c.ConnectedAt,
	}
	known, err := w.known(ctx, handle, calendar.BookingID(c.ID, e.Id))
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
	if _, err := pipeline.RecordEvent(ctx, w.db, w.enqueuer, handle.ID(), requestID, store.ModeBooking, heard, booking.FoldRequest(store.SourceCalendar, handle.ID())); err != nil {
		return false, fmt.Errorf("record: %w", err)
	}
	return true, nil
}

// known returns the last event that is known of a booking, in the order in which
// they are folded, or nil.
func (w *worker) known(ctx context.Context, handle *store.Tenant, bookingID string) (*booking.Event, error) {
	events, err := handle.Events(ctx, store.RequestID(handle.ID(), store.SourceCalendar, bookingID))
	if err != nil || len(events) == 0 {
		return nil, err
	}
	parsed := make([]booking.Event, len(events))
	for i, e := range events {
		p, err := booking.Parse(e.Payload)
		if err != nil {
			return nil, fmt.Errorf("event %s: %w", e.ID, err)
		}
		parsed[i] = *p
	}
	last := slices.MaxFunc(parsed, booking.Event.Compare)
	return &last, nil
}
