package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"ingestion.internal/local/internal/load"
	"ingestion.internal/local/internal/sample"
	"ingestion.internal/shared/calendar"
	"ingestion.internal/shared/store"
)

const (
	// eventsAtOnce bounds the events that are made side by side.
	eventsAtOnce = 8
	// channelPatience is how long a calendar may have no channel: the clock of
	// calendar-sync opens one within a minute.
	channelPatience = 3 * time.Minute
	// readingPatience is how long the calendar's reading may take after the
	// last notification. With held queues it is the clock that begins it.
	readingPatience = 5 * time.Minute
	calendarPoll    = 2 * time.Second
)

// loadCalendar are notifications of one calendar, and as many events, which are
// in the calendar before. Nobody is told when they are made, so it is because of
// the notifications that they are read. A notification names no event and many
// of them become one reading; what is counted is that each event has become one
// booking.
type loadCalendar struct {
	loadSender
	channel http.Header // of a notification of the channel that is open
	address string      // where it goes
	poll    time.Duration
}

func (l *loadCalendar) open(ctx context.Context, total int) error {
	if l.calendarID == "" {
		return fmt.Errorf("%s has no calendar (tenants.%s.calendars)", l.tenant, l.tenant)
	}
	if err := l.await(ctx, channelPatience, l.findChannel); err != nil {
		return fmt.Errorf("calendar %s has no channel: %w", l.calendarID, err)
	}
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(eventsAtOnce)
	for n := range total {
		all.Go(func() error {
			body, err := json.Marshal(l.visit(n).Event())
			if err != nil {
				return err
			}
			address := fmt.Sprintf("%s/_admin/calendars/%s/events/%s?untold=true", l.calendarURL, url.PathEscape(l.calendarID), url.PathEscape(l.id(n)))
			_, err = ask(ctx, http.MethodPut, address, body)
			return err
		})
	}
	return all.Wait()
}

func (l *loadCalendar) message(n int) (load.Message, error) {
	header := l.channel.Clone()
	header.Set("X-Goog-Resource-State", string(calendar.Exists))
	header.Set("X-Goog-Message-Number", strconv.Itoa(n+2)) // 1 opened the channel
	return load.Message{URL: l.address, Header: header, RequestID: l.requestID(n)}, nil
}

func (l *loadCalendar) requestID(n int) string {
	return store.RequestID(l.tenant, store.SourceCalendar, calendar.BookingID(l.calendarID, l.id(n)))
}

// read waits until every event is a request. What never becomes one is counted
// afterwards, as with the other channels.
func (l *loadCalendar) read(ctx context.Context, total int) error {
	err := l.await(ctx, readingPatience, func(ctx context.Context) (bool, error) {
		stored, err := l.stored(ctx, l.tenant, l.run.Add(-clockSlack))
		if err != nil {
			return false, err
		}
		known := make(map[string]bool, len(stored))
		for _, id := range stored {
			known[id] = true
		}
		for n := range total {
			if !known[l.requestID(n)] {
				return false, nil
			}
		}
		return true, nil
	})
	if errors.Is(err, errPatience) {
		return nil
	}
	return err
}

// findChannel tells whether the calendar has an open channel, and takes the
// headers of the first notification that was sent to it: nobody but Google, here
// its stand-in, and calendar-sync has ever seen the channel's token.
func (l *loadCalendar) findChannel(ctx context.Context) (bool, error) {
	text, err := ask(ctx, http.MethodGet, l.calendarURL+"/_admin/channels", nil)
	if err != nil {
		return false, err
	}
	var known struct {
		Channels []struct {
			ID         string    `json:"id"`
			CalendarID string    `json:"calendar_id"`
			Address    string    `json:"address"`
			ExpiresAt  time.Time `json:"expires_at"`
		} `json:"channels"`
		Sent []struct {
			Header http.Header `json:"header"`
		} `json:"sent"`
	}
	if err := json.Unmarshal(text, &known); err != nil {
		return false, fmt.Errorf("channels of the calendar: %w", err)
	}
	for _, c := range known.Channels {
		if c.CalendarID != l.calendarID || c.ExpiresAt.Before(time.Now()) {
			continue
		}
		for _, sent := range known.Sent {
			if sent.Header.Get("X-Goog-Channel-Id") == c.ID {
				l.channel, l.address = sent.Header, c.Address
				return true, nil
			}
		}
	}
	return false, nil
}

// errPatience says that something did not happen in time.
var errPatience = errors.New("it takes too long")

// await asks again and again until something is there.
func (l *loadCalendar) await(ctx context.Context, patience time.Duration, there func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errPatience)
	defer cancel()
	tick := time.NewTicker(l.poll)
	defer tick.Stop()
	for {
		ok, err := there(ctx)
		if ok {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// visit is what the n-th person books.
func (s loadSender) visit(n int) sample.Booking {
	b := sample.Visit
	b.TenantID, b.OfficeID, b.ID, b.Phone, b.At = s.tenant, s.office.OfficeID, s.id(n), s.phone(n), time.Now().UTC()
	b.Email = fmt.Sprintf("load+%s@example.com", s.id(n))
	return b
}
