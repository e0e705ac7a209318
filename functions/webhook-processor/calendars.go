package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"ingestion.internal/shared/calendar"
	"ingestion.internal/shared/logging"
	"ingestion.internal/shared/problem"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/telemetry"
	"ingestion.internal/shared/topology"
)

// calendarNotification handles POST /api/v1/calendar/notifications, Google's
// message that a calendar has changed: 204 once it is in the database that the
// calendar is due. What has changed is read by the service calendar-sync.
//
// Google sends a message again that is answered 500, 502, 503 or 504, and no
// other (https://developers.google.com/workspace/calendar/api/guides/push,
// 2026-11-25).
func (h *handler) calendarNotification(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), acceptTimeout)
	defer cancel()
	n, err := calendar.ParseNotification(r.Header)
	if err != nil {
		return problem.New(problem.BadRequest, err.Error())
	}
	channel, err := h.db.Directory().Channel(ctx, n.ChannelID)
	unknown := errors.Is(err, store.ErrNotFound)
	if err != nil && !unknown {
		return err
	}
	// An unknown channel costs the same steps as a wrong token.
	proven := channel.Proves(n.Token)
	switch {
	case unknown:
		return errUnauthorized(fmt.Errorf("channel %s: no such channel", n.ChannelID))
	case !proven:
		return errUnauthorized(fmt.Errorf("tenant %s, channel %s: the token does not match", channel.TenantID, n.ChannelID))
	case channel.ResourceID != "" && channel.ResourceID != n.ResourceID:
		return errUnauthorized(fmt.Errorf("tenant %s, channel %s: it does not watch resource %s", channel.TenantID, n.ChannelID, n.ResourceID))
	}
	ctx = logging.With(logging.WithTenant(ctx, channel.TenantID), slog.String("calendar", channel.CalendarID))
	if n.State != calendar.Sync { // which says that the channel is open
		err := h.db.Tenant(channel.TenantID).Notified(ctx, channel.CalendarID, channel.ID, n.Number)
		if errors.Is(err, store.ErrNotFound) {
			return errUnauthorized(err)
		}
		if err != nil {
			return err
		}
		if err := h.enqueuer.Add(ctx, topology.Calendars, "", channel.CalendarKey); err != nil {
			slog.ErrorContext(ctx, "due, but not enqueued", slog.String(telemetry.Event, telemetry.CalendarUnsent), slog.Any("error", err))
		}
	}
	slog.InfoContext(ctx, "calendar notification", slog.String(telemetry.Event, telemetry.CalendarNotified), slog.String(telemetry.Outcome, string(n.State)),
		slog.String("channel_id", n.ChannelID), slog.Int64("number", n.Number))
	w.WriteHeader(http.StatusNoContent)
	return nil
}
