// Package calendar reads Google Calendars whose events with customers are
// bookings: the notifications by which Google says that one has changed, the
// API that says what, and what booking an event is. Its contract is
// docs/channels.md, "Google Calendar".
package calendar

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// State is what a notification says of what is watched.
type State string

// The states. https://developers.google.com/workspace/calendar/api/guides/push
// (2026-11-25)
const (
	Sync      State = "sync"       // the channel is open; nothing has changed
	Exists    State = "exists"     // something changed
	NotExists State = "not_exists" // what was watched is gone
)

// Notification is a message of a channel. It has no body, and says nothing of
// what has changed.
type Notification struct {
	ChannelID  string
	Token      string // that the channel was opened with
	ResourceID string // Google's name of what is watched
	State      State
	Number     int64     // 1 for the first; grows, but not by one
	ExpiresAt  time.Time // of the channel; zero if it does not say
}

// Bounds of what the headers may hold.
const (
	maxChannelID = 64 // Google's
	maxText      = 1024
)

// ParseNotification reads the X-Goog headers of a message. The error names what
// is wrong and may be shown to the sender.
func ParseNotification(h http.Header) (Notification, error) {
	var errs []error
	one := func(name string, max int, needed bool) string {
		values := h.Values(name)
		switch {
		case len(values) > 1:
			errs = append(errs, fmt.Errorf("%s is there twice", name))
			return ""
		case len(values) == 0 || values[0] == "":
			if needed {
				errs = append(errs, fmt.Errorf("%s is missing", name))
			}
			return ""
		case len(values[0]) > max || !printable(values[0]):
			errs = append(errs, fmt.Errorf("%s must have at most %d printable characters", name, max))
			return ""
		}
		return values[0]
	}
	n := Notification{
		ChannelID:  one("X-Goog-Channel-ID", maxChannelID, true),
		Token:      one("X-Goog-Channel-Token", maxText, false), // whoever has none is refused as one with another
		ResourceID: one("X-Goog-Resource-ID", maxText, true),
		State:      State(one("X-Goog-Resource-State", maxText, true)),
	}
	one("X-Goog-Resource-URI", 2*maxText, false) // says no more than the id
	if n.State != "" && n.State != Sync && n.State != Exists && n.State != NotExists {
		errs = append(errs, errors.New("X-Goog-Resource-State must be sync, exists or not_exists"))
	}
	if text := one("X-Goog-Message-Number", 20, true); text != "" {
		var err error
		if n.Number, err = strconv.ParseInt(text, 10, 64); err != nil || n.Number < 1 {
			errs = append(errs, errors.New("X-Goog-Message-Number must be a number from 1"))
		}
	}
	if text := one("X-Goog-Channel-Expiration", 64, false); text != "" {
		var err error
		if n.ExpiresAt, err = http.ParseTime(text); err != nil {
			errs = append(errs, errors.New("X-Goog-Channel-Expiration must be a date of HTTP"))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return Notification{}, err
	}
	return n, nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
