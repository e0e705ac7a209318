package calendar

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/api/calendar/v3"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
)

// ErrTokenExpired says that Google has forgotten what a sync token stands for:
// the calendar has to be read anew.
var ErrTokenExpired = errors.New("the sync token has expired")

// pageSize is how many events are asked for at a time, Google's default.
const pageSize = 250

// Client reads and watches calendars. It sees those that are shared with its
// service account.
type Client struct {
	service *calendar.Service
}

// NewClient returns a client of the Calendar API at the endpoint, a base URL;
// empty means Google's. It has the right to read events and no more: Cloud Run
// gives tokens of scopes that are asked for
// (https://cloud.google.com/run/docs/securing/service-identity, 2026-11-25).
func NewClient(ctx context.Context, endpoint string, opts ...option.ClientOption) (*Client, error) {
	opts = append([]option.ClientOption{option.WithScopes(calendar.CalendarEventsReadonlyScope)}, opts...)
	if endpoint != "" {
		opts = append(opts, option.WithEndpoint(strings.TrimSuffix(endpoint, "/")+"/calendar/v3/"))
	}
	service, err := calendar.NewService(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("calendar client: %w", err)
	}
	return &Client{service}, nil
}

// Read gives each the events of the calendar that changed since the token was
// made, deleted ones too, a page at a time (at least one event, at most 250), and
// returns the token from which to go on. The
// calendar's time zone is that of its settings. Without a token all events that
// end after since are read. Recurring events are read as a whole, and what is
// different in one of their instances as an event of its own.
//
// ErrTokenExpired: nothing was given to each. An error of each ends it.
func (c *Client) Read(ctx context.Context, calendarID, token string, since time.Time, each func(page []*calendar.Event, timeZone string) error) (string, error) {
	call := c.service.Events.List(calendarID).Context(ctx).MaxResults(pageSize).ShowDeleted(true).SingleEvents(false)
	if token != "" {
		call.SyncToken(token)
	} else {
		// The sync guide narrows a first reading in this way, and says that a
		// token does not go with it: what follows from it does not need it.
		// https://developers.google.com/workspace/calendar/api/guides/sync (2026-11-25)
		call.TimeMin(since.UTC().Format(time.RFC3339))
	}
	for {
		page, err := call.Do()
		if err != nil {
			if code(err) == http.StatusGone {
				err = ErrTokenExpired
			}
			return "", fmt.Errorf("events: %w", err)
		}
		items := slices.DeleteFunc(page.Items, func(e *calendar.Event) bool { return e == nil }) // null in the list
		if len(items) > 0 {
			if err := each(items, page.TimeZone); err != nil {
				return "", err
			}
		}
		if page.NextPageToken == "" {
			if page.NextSyncToken == "" {
				return "", errors.New("events: the last page has no sync token")
			}
			return page.NextSyncToken, nil
		}
		call.PageToken(page.NextPageToken)
	}
}

// Watch opens a channel: changes of the calendar's events are told to the
// address, with the token. It returns Google's name of what is watched and when
// the channel ends, which may be earlier than was asked for.
func (c *Client) Watch(ctx context.Context, calendarID, channelID, token, address string, until time.Time) (resourceID string, expires time.Time, err error) {
	made, err := c.service.Events.Watch(calendarID, &calendar.Channel{
		Id: channelID, Type: "web_hook", Address: address, Token: token, Expiration: until.UnixMilli(),
	}).Context(ctx).Do()
	if err != nil {
		return "", time.Time{}, fmt.Errorf("watch: %w", err)
	}
	if made.ResourceId == "" || made.Expiration == 0 {
		return "", time.Time{}, errors.New("watch: the answer names no resource or no end")
	}
	return made.ResourceId, time.UnixMilli(made.Expiration), nil
}

// Stop closes a channel. One that is closed already is no error.
func (c *Client) Stop(ctx context.Context, channelID, resourceID string) error {
	err := c.service.Channels.Stop(&calendar.Channel{Id: channelID, ResourceId: resourceID}).Context(ctx).Do()
	if err != nil && code(err) != http.StatusNotFound {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}

// NoAccess tells whether an error says that the calendar is not there or not
// shared with the service account, which only its owner can mend.
func NoAccess(err error) bool {
	return code(err) == http.StatusNotFound || code(err) == http.StatusForbidden && !limited(err)
}

// limited tells, among the refusals of status 403, those by rate or quota: they
// say nothing of the calendar. One of their reasons is quotaExceeded ("Calendar
// usage limits exceeded"), the others end in LimitExceeded.
// https://developers.google.com/workspace/calendar/api/guides/errors (2026-11-26)
func limited(err error) bool {
	var api *googleapi.Error
	return errors.As(err, &api) && slices.ContainsFunc(api.Errors, func(item googleapi.ErrorItem) bool {
		reason := strings.ToLower(item.Reason)
		return reason == "quotaexceeded" || strings.HasSuffix(reason, "limitexceeded")
	})
}

func code(err error) int {
	var api *googleapi.Error
	if errors.As(err, &api) {
		return api.Code
	}
	return 0
}
