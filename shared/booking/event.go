// Package booking reads what calendars and booking pages send of visits that
// customers have booked: one signed webhook for whatever system there is. Its
// contract is docs/channels.md, "Bookings". Package calendar makes the same
// events of those in Google Calendars.
package booking

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"ingestion.internal/shared/jsontext"
)

// maxDepth bounds the nesting of a body; the format itself has two levels.
const maxDepth = 16

// Status is what an event says of its booking.
type Status string

// The states of a booking.
const (
	Booked    Status = "booked"
	Moved     Status = "moved"
	Cancelled Status = "cancelled"
)

// rank orders events that say nothing else about their order.
func (s Status) rank() int {
	switch s {
	case Moved:
		return 1
	case Cancelled:
		return 2
	}
	return 0
}

// SignatureHeader carries a booking's signature, see package signature.
const SignatureHeader = "Booking-Signature"

// Event is one thing that was heard of one booking.
type Event struct {
	TenantID  string
	BookingID string
	OfficeID  string // "" if it names none
	Status    Status
	Sequence  int64     // counts the changes of the booking, as iCalendar's SEQUENCE; 0 if it has none
	UpdatedAt time.Time // of the change; zero if it has none
	Body      json.RawMessage
}

// document has the fields that are known, by their names.
type document struct {
	TenantID  string     `json:"tenant_id"`
	BookingID string     `json:"booking_id"`
	OfficeID  string     `json:"office_id"`
	Status    Status     `json:"status"`
	Sequence  *int64     `json:"sequence"`
	UpdatedAt *time.Time `json:"updated_at"`
	StartsAt  *time.Time `json:"starts_at"`
	EndsAt    *time.Time `json:"ends_at"`
	TimeZone  string     `json:"time_zone"`
	Customer  Customer   `json:"customer"`
	Service   string     `json:"service"`
	Notes     string     `json:"notes"`
}

// Customer is who booked.
type Customer struct {
	Name    string `json:"name"`
	Phone   string `json:"phone"`
	Email   string `json:"email"`
	Address string `json:"address"`
	Zip     string `json:"zip"`
}

var (
	bookingID = regexp.MustCompile(`^[\x21-\x7e]{1,255}$`)
	timeZone  = regexp.MustCompile(`^[A-Za-z0-9_+/-]{1,64}$`)
)

// Parse reads an event. Fields that are not known are kept and otherwise
// ignored, null is absent. Times are RFC 3339. An error names every mistake and
// may be shown to the sender.
//
// Body is the event in its canonical form, so that it is the same for every way
// to write the same.
func Parse(body []byte) (*Event, error) {
	if err := jsontext.CheckDepth(body, maxDepth); err != nil {
		return nil, err
	}
	if _, err := jsontext.Object(body); err != nil {
		return nil, errors.New("the body is not a JSON object")
	}
	canonical := jsontext.Canonical(body)
	var d document
	if err := json.Unmarshal(canonical, &d); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return nil, fmt.Errorf("%s must not be a %s", wrong.Field, wrong.Value)
		}
		return nil, errors.New("a time is not of RFC 3339, such as 2026-03-04T10:00:00-05:00")
	}
	if err := d.check(); err != nil {
		return nil, err
	}
	e := &Event{TenantID: d.TenantID, BookingID: d.BookingID, OfficeID: d.OfficeID, Status: d.Status, Body: canonical}
	if d.Sequence != nil {
		e.Sequence = *d.Sequence
	}
	if d.UpdatedAt != nil {
		e.UpdatedAt = *d.UpdatedAt
	}
	return e, nil
}

func (d *document) check() error {
	var wrong []string
	is := func(mistake bool, text string) {
		if mistake {
			wrong = append(wrong, text)
		}
	}
	is(d.TenantID == "", "tenant_id is missing")
	is(!bookingID.MatchString(d.BookingID), "booking_id must be 1 to 255 printable characters without spaces")
	is(d.Status != Booked && d.Status != Moved && d.Status != Cancelled, "status must be booked, moved or cancelled")
	is(d.Sequence == nil && d.UpdatedAt == nil, "sequence or updated_at must say which change is the later one")
	is(d.Sequence != nil && *d.Sequence < 0, "sequence must not be negative")
	is(d.StartsAt == nil && d.Status != Cancelled, "starts_at is missing")
	is(d.StartsAt != nil && d.EndsAt != nil && !d.StartsAt.Before(*d.EndsAt), "ends_at must be after starts_at")
	is(d.TimeZone != "" && !timeZone.MatchString(d.TimeZone), "time_zone must be a name such as America/New_York")
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}
