package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"ingestion.internal/local/internal/cli"
	"ingestion.internal/local/internal/daemonapi"
	"ingestion.internal/local/internal/sample"
	"ingestion.internal/shared/calendar"
	"ingestion.internal/shared/store"
)

// calendarBooking changes an event of the tenant's calendar, as the owner of the
// calendar would, and follows its request: Google's notification, the reading of
// what changed, and the pipeline.
func (a *app) calendarBooking(ctx context.Context, client *daemonapi.Client, b sample.Booking) error {
	status, db, err := platform(ctx, client)
	if err != nil {
		return err
	}
	defer db.Close()
	calendars, err := db.Calendars(ctx, b.TenantID)
	if err != nil {
		return err
	}
	if len(calendars) == 0 {
		return fmt.Errorf("%s has no calendar (tenants.%s.calendars)", b.TenantID, b.TenantID)
	}
	id := calendars[0]
	requestID := store.RequestID(b.TenantID, store.SourceCalendar, calendar.BookingID(id, b.ID))
	before, err := db.Events(ctx, b.TenantID, requestID)
	if err != nil {
		return err
	}
	event := fmt.Sprintf("%s/_admin/calendars/%s/events/%s", status.Addresses["calendar"], url.PathEscape(id), url.PathEscape(b.ID))
	it := a.board.Start("calendar", "changing event "+b.ID)
	if err := changeEvent(ctx, event, b); err != nil {
		it.Fail("event %s of %s", b.ID, id)
		return coded(cli.ExitRequest, err)
	}
	it.Done("event %s of %s was changed", b.ID, id)

	timeout, cancel := context.WithTimeoutCause(ctx, a.opts.Timeout, fmt.Errorf("--timeout %v is over", a.opts.Timeout))
	defer cancel()
	it = a.board.Start("notification", "waiting")
	if err := db.AwaitEvents(timeout, b.TenantID, requestID, before+1); err != nil {
		it.Fail("request %s has not heard of it", requestID)
		return coded(cli.ExitRequest, fmt.Errorf("%w (a calendar that is new or cannot be read is taken up by the clock, within minutes; what the services say: go run ./local logs)", err))
	}
	it.Done("request %s has heard of it", requestID)
	story, err := a.follow(ctx, db, b.TenantID, requestID, false)
	return a.tell(ctx, story, err)
}

// changeEvent puts the booking's event into the stand-in's calendar, moves it by
// a day or deletes it.
func changeEvent(ctx context.Context, address string, b sample.Booking) error {
	if b.Cancel {
		_, err := ask(ctx, http.MethodDelete, address, nil)
		return err
	}
	changes := b.Event()
	if b.Move {
		text, err := ask(ctx, http.MethodGet, address, nil)
		if err != nil {
			return err
		}
		if changes, err = moved(text); err != nil {
			return err
		}
	}
	body, err := json.Marshal(changes)
	if err != nil {
		return err
	}
	_, err = ask(ctx, http.MethodPut, address, body)
	return err
}

// moved returns the times of an event, a day later.
func moved(event []byte) (sample.Event, error) {
	var e sample.Event
	if err := json.Unmarshal(event, &e); err != nil {
		return e, err
	}
	if e.Start == nil || e.End == nil {
		return e, errors.New("the event has no times")
	}
	return sample.Event{
		Start: &sample.EventTime{DateTime: e.Start.DateTime.Add(24 * time.Hour)},
		End:   &sample.EventTime{DateTime: e.End.DateTime.Add(24 * time.Hour)},
	}, nil
}

// ask talks to the stand-in.
func ask(ctx context.Context, method, address string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the calendar does not answer: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("the calendar answered %s: %s", resp.Status, bytes.TrimSpace(text))
	}
	return text, err
}
