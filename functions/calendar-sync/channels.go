package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"ingestion.internal/shared/store"
	"ingestion.internal/shared/telemetry"
)

const (
	// channelLife is what is asked for. How long Google lets one live is not
	// documented for calendars; its answer counts (unconfirmed, 2026-11-25).
	channelLife = 7 * 24 * time.Hour
	// renewBefore is how long before a channel's end the next one is opened, at
	// most; of one that lives shorter, half its life.
	renewBefore = 24 * time.Hour
	// unanswered is how old a channel may be that Google has not answered about.
	unanswered = 10 * time.Minute
)

// keepChannel sees to it that the calendar has a channel to the address that
// lasts. The next one is open before the last one is closed: both are good in
// between, and a change that is told of twice is read once.
func (w *worker) keepChannel(ctx context.Context, handle *store.Tenant, calendarID, address string) error {
	channels, err := handle.Channels(ctx, calendarID)
	if err != nil {
		return err
	}
	now := w.now()
	var good *store.Channel
	var old []store.Channel
	for i := range channels {
		c := &channels[i]
		if address == "" { // the queue does not know it, but a channel does
			address = c.Address
		}
		switch {
		case c.ResourceID == "" && now.Sub(c.CreatedAt) < unanswered:
			// Another worker is opening it, or was when it died.
		case c.ResourceID != "" && c.Address == address && now.Before(renewAt(c)) && good == nil:
			good = c
		default:
			old = append(old, *c)
		}
	}
	if address == "" {
		return nil // a calendar without a channel is the clock's
	}
	if good == nil {
		if err := w.open(ctx, handle, calendarID, address); err != nil {
			return err // the old one stays as long as it lasts
		}
	}
	for _, c := range old {
		err = errors.Join(err, w.closeChannel(ctx, handle, calendarID, c))
	}
	return err
}

func renewAt(c *store.Channel) time.Time {
	return c.ExpiresAt.Add(-min(renewBefore, c.ExpiresAt.Sub(c.CreatedAt)/2))
}

func (w *worker) open(ctx context.Context, handle *store.Tenant, calendarID, address string) error {
	id, token := uuid.NewString(), rand.Text()+rand.Text()
	// Known before it is asked for: its first message may be here before the
	// answer, and nobody but Google and this process has seen the token.
	if err := handle.AddChannel(ctx, calendarID, id, token, address); err != nil {
		return err
	}
	resourceID, expires, err := w.calendars.Watch(ctx, calendarID, id, token, address, w.now().Add(channelLife))
	if err != nil {
		err = fmt.Errorf("channel: %w", err)
		// If Google has opened it all the same, it is refused until it ends.
		return errors.Join(err, handle.CloseChannel(context.WithoutCancel(ctx), calendarID, id))
	}
	if err := handle.OpenChannel(ctx, calendarID, id, resourceID, expires); err != nil {
		return err
	}
	slog.InfoContext(ctx, "channel opened", slog.String(telemetry.Event, telemetry.ChannelOpened), slog.String("channel_id", id), slog.Time("until", expires))
	return nil
}

// closeAll closes every channel of a calendar that is not followed any more.
func (w *worker) closeAll(ctx context.Context, handle *store.Tenant, calendarID string) error {
	channels, err := handle.Channels(ctx, calendarID)
	for _, c := range channels {
		err = errors.Join(err, w.closeChannel(ctx, handle, calendarID, c))
	}
	return err
}

// closeChannel stops a channel and forgets it. One that has ended, or that
// Google never answered about, is only forgotten.
func (w *worker) closeChannel(ctx context.Context, handle *store.Tenant, calendarID string, c store.Channel) error {
	if c.ResourceID != "" && w.now().Before(c.ExpiresAt) {
		// An owner who no longer shares the calendar keeps nobody from forgetting it.
		if err := w.calendars.Stop(ctx, c.ID, c.ResourceID); err != nil && !noAccess(err) {
			return err
		}
	}
	if err := handle.CloseChannel(ctx, calendarID, c.ID); err != nil {
		return err
	}
	slog.InfoContext(ctx, "channel closed", slog.String(telemetry.Event, telemetry.ChannelClosed), slog.String("channel_id", c.ID))
	return nil
}
