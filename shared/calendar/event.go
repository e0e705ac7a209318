package calendar

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"
	"time"

	"google.golang.org/api/calendar/v3"

	"ingestion.internal/shared/booking"
	"ingestion.internal/shared/contact"
)

// Source is the calendar that an event was read from.
type Source struct {
	TenantID   string
	CalendarID string
	OfficeID   string   // "" = the tenant's first
	OwnDomains []string // e-mail addresses of the company's people
	TimeZone   string   // of the calendar
	// ConnectedAt is since when it is read: what was over before is no booking.
	ConnectedAt time.Time
}

// Bounds of what is taken over from an event.
const (
	maxNotes = 8000
	maxLine  = 500
)

// document is a booking's event, of package booking, with what is known of the
// calendar's.
type document struct {
	TenantID  string           `json:"tenant_id"`
	BookingID string           `json:"booking_id"`
	OfficeID  string           `json:"office_id,omitempty"`
	Status    booking.Status   `json:"status"`
	UpdatedAt time.Time        `json:"updated_at"`
	StartsAt  string           `json:"starts_at,omitempty"`
	EndsAt    string           `json:"ends_at,omitempty"`
	TimeZone  string           `json:"time_zone,omitempty"`
	Customer  booking.Customer `json:"customer,omitzero"`
	Service   string           `json:"service,omitempty"`
	Notes     string           `json:"notes,omitempty"`
	Calendar  origin           `json:"calendar,omitzero"`
}

// origin is what a booking says of its calendar's event.
type origin struct {
	CalendarID string `json:"calendar_id,omitempty"`
	EventID    string `json:"event_id,omitempty"`
	AllDay     bool   `json:"all_day,omitempty"`
	Recurring  bool   `json:"recurring,omitempty"`
	Tentative  bool   `json:"tentative,omitempty"`
}

// BookingID returns the id of the booking that an event is. The same event in
// two calendars is two bookings, because one of them may be cancelled.
func BookingID(calendarID, eventID string) string {
	sum := sha256.Sum256([]byte(calendarID + "\x00" + eventID))
	return hex.EncodeToString(sum[:16])
}

// Booking returns the booking's event that a calendar's event is, or nil where
// it is none, and why not. known is the last event that is known of the
// booking, nil if there is none; what is known as a booking is followed,
// whatever becomes of it. The result depends on the arguments only, and an
// event that is read twice gives the same twice.
func Booking(e *calendar.Event, from Source, known *booking.Event) (*booking.Event, string, error) {
	if e.RecurringEventId != "" {
		return nil, "it is one instance of a series", nil
	}
	d := document{TenantID: from.TenantID, BookingID: BookingID(from.CalendarID, e.Id)}
	if updated, err := time.Parse(time.RFC3339, e.Updated); err == nil {
		d.UpdatedAt = updated
	}
	if e.Status == "cancelled" {
		if known == nil {
			return nil, "it was cancelled before it was known", nil
		}
		d.Status = booking.Cancelled
		// Only its id is sure to be there. Of two events of one time, a
		// cancellation counts more.
		d.UpdatedAt = later(d.UpdatedAt, known.UpdatedAt)
		event, err := parse(d)
		return event, "", err
	}
	if d.UpdatedAt.IsZero() {
		return nil, "", fmt.Errorf("event %.64q does not say when it was changed", e.Id)
	}
	starts, ends, err := d.times(e, from)
	if err != nil {
		return nil, "", err
	}
	d.OfficeID = from.OfficeID
	d.Service, d.Notes = line(e.Summary), clip(plain(e.Description), maxNotes)
	guests := guestsOf(e, from.OwnDomains)
	d.Customer = customer(e, guests, from.OwnDomains)
	d.Calendar = origin{from.CalendarID, clip(e.Id, maxLine), e.Start != nil && e.Start.Date != "", len(e.Recurrence) > 0, e.Status == "tentative"}
	if known == nil {
		switch {
		case starts.IsZero():
			return nil, "it has no time", nil
		case e.EventType != "" && e.EventType != "default":
			return nil, "it is of type " + line(e.EventType), nil
		case e.Transparency == "transparent":
			return nil, "it leaves its time free", nil
		case !ends.IsZero() && !ends.After(from.ConnectedAt), ends.IsZero() && !starts.After(from.ConnectedAt):
			return nil, "it was over before the calendar was connected", nil
		case d.Customer.Phone == "" && d.Customer.Email == "":
			return nil, "it has no customer", nil
		case declined(guests):
			return nil, "its customer declined before it was known", nil
		}
	}
	if starts.IsZero() { // of a known one: what is known of its time stays
		return nil, "it has no time", nil
	}
	switch {
	case known == nil:
		d.Status = booking.Booked
	case declined(guests):
		d.Status = booking.Cancelled
		d.UpdatedAt = later(d.UpdatedAt, known.UpdatedAt)
	default:
		// Whether an answer to an invitation counts as a change of the event is
		// not documented, so what is back is later than its cancellation by
		// itself.
		if at := later(d.UpdatedAt, known.UpdatedAt); known.Status == booking.Cancelled && !at.After(known.UpdatedAt) {
			d.UpdatedAt = known.UpdatedAt.Add(time.Millisecond)
		} else {
			d.UpdatedAt = at
		}
		d.Status = follow(known, d.UpdatedAt, starts, ends)
	}
	event, err := parse(d)
	return event, "", err
}

// follow returns the state of a booking whose last known event is given. Of an
// event that is known it is the one that it was given.
func follow(known *booking.Event, updated, starts, ends time.Time) booking.Status {
	var was struct {
		StartsAt time.Time `json:"starts_at"`
		EndsAt   time.Time `json:"ends_at"`
	}
	_ = json.Unmarshal(known.Body, &was) // it was parsed before
	switch {
	case known.Status == booking.Cancelled:
		return booking.Booked // it is back
	case known.UpdatedAt.Equal(updated):
		return known.Status
	case !was.StartsAt.Equal(starts) || !was.EndsAt.Equal(ends):
		return booking.Moved
	}
	return known.Status
}

func parse(d document) (*booking.Event, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("event: %w", err)
	}
	event, err := booking.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("event: %w", err)
	}
	return event, nil
}

// times takes over when the event is. An all-day event is from midnight to
// midnight in the calendar's time zone. Zero: it does not say.
func (d *document) times(e *calendar.Event, from Source) (starts, ends time.Time, err error) {
	read := func(t *calendar.EventDateTime) (time.Time, error) {
		switch {
		case t == nil:
			return time.Time{}, nil
		case t.DateTime != "":
			return time.Parse(time.RFC3339, t.DateTime)
		case t.Date != "":
			zone, err := time.LoadLocation(from.TimeZone)
			if err != nil || from.TimeZone == "Local" {
				zone = time.UTC
			}
			return time.ParseInLocation(time.DateOnly, t.Date, zone)
		}
		return time.Time{}, nil
	}
	if starts, err = read(e.Start); err == nil {
		ends, err = read(e.End)
	}
	if err != nil {
		return starts, ends, fmt.Errorf("event %.64q: %w", e.Id, err)
	}
	if !starts.Before(ends) {
		ends = time.Time{} // the end may be left open, or be the start
	}
	for _, t := range []struct {
		text *string
		at   time.Time
	}{{&d.StartsAt, starts}, {&d.EndsAt, ends}} {
		if !t.at.IsZero() {
			*t.text = t.at.Format(time.RFC3339)
		}
	}
	if e.Start != nil {
		d.TimeZone = e.Start.TimeZone
	}
	if d.TimeZone == "" {
		d.TimeZone = from.TimeZone
	}
	if !zoneName.MatchString(d.TimeZone) {
		d.TimeZone = ""
	}
	return starts, ends, nil
}

var (
	zoneName = regexp.MustCompile(`^[A-Za-z0-9_+/-]{1,64}$`)
	number   = regexp.MustCompile(`\+?\(?[0-9][0-9 ().\x{2010}-\x{2013}-]{7,20}[0-9]`)
	address  = regexp.MustCompile(`[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+`)
	zipCode  = regexp.MustCompile(`\b([0-9]{5})(?:-[0-9]{4})?\b`)
	link     = regexp.MustCompile(`(?i)^\s*https?://`)
	tag      = regexp.MustCompile(`<[^<>]*>`)
)

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// own tells whether an address is of the company or of a calendar.
func own(email string, domains []string) bool {
	_, domain, _ := strings.Cut(strings.ToLower(email), "@")
	return slices.Contains(domains, domain) || domain == "group.calendar.google.com" || domain == "resource.calendar.google.com"
}

// guestsOf returns the guests who are not of the company.
func guestsOf(e *calendar.Event, ownDomains []string) []*calendar.EventAttendee {
	var guests []*calendar.EventAttendee
	for _, a := range e.Attendees {
		if a == nil || a.Self || a.Organizer || a.Resource || own(a.Email, ownDomains) {
			continue
		}
		if _, err := contact.Email(a.Email); err == nil {
			guests = append(guests, a)
		}
	}
	return guests
}

// declined tells whether there are guests and none of them comes.
// https://developers.google.com/workspace/calendar/api/v3/reference/events
// (attendees[].responseStatus)
func declined(guests []*calendar.EventAttendee) bool {
	return len(guests) > 0 && !slices.ContainsFunc(guests, func(a *calendar.EventAttendee) bool { return a.ResponseStatus != "declined" })
}

// customer tells who booked: what the event's private properties say, else the
// first of its guests, else the first telephone number and e-mail address in its
// description.
func customer(e *calendar.Event, guests []*calendar.EventAttendee, ownDomains []string) booking.Customer {
	var c booking.Customer
	if len(guests) > 0 {
		c.Name = line(guests[0].DisplayName)
		c.Email, _ = contact.Email(guests[0].Email) // checked by guestsOf
	}
	text := plain(e.Description)
	for _, found := range number.FindAllString(text, -1) {
		if phone, err := contact.E164(found); err == nil {
			c.Phone = phone
			break
		}
	}
	for _, found := range address.FindAllString(text, -1) {
		if email, err := contact.Email(found); err == nil && c.Email == "" && !own(email, ownDomains) {
			c.Email = email
		}
	}
	if !link.MatchString(e.Location) {
		c.Address = line(e.Location)
		if all := zipCode.FindAllStringSubmatch(c.Address, -1); len(all) > 0 {
			c.Zip = all[len(all)-1][1] // the first may be a house's number
		}
	}
	if e.ExtendedProperties != nil {
		for name, field := range map[string]*string{
			"customer_name": &c.Name, "customer_phone": &c.Phone, "customer_email": &c.Email, "customer_address": &c.Address, "customer_zip": &c.Zip,
		} {
			if value := line(e.ExtendedProperties.Private[name]); value != "" {
				*field = value
			}
		}
	}
	return c
}

// plain takes the tags out of a description, which may be HTML.
func plain(text string) string {
	if !strings.ContainsAny(text, "<&") {
		return strings.TrimSpace(text)
	}
	return strings.TrimSpace(html.UnescapeString(tag.ReplaceAllStringFunc(text, func(t string) string {
		if name := strings.ToLower(strings.Trim(t, "</> ")); strings.HasPrefix(name, "br") || strings.HasPrefix(name, "p") || strings.HasPrefix(name, "li") {
			return "\n"
		}
		return ""
	})))
}

// line is text of one line.
func line(text string) string { return clip(strings.Join(strings.Fields(text), " "), maxLine) }

// clip cuts text after n bytes at most, between characters.
func clip(text string, n int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= n {
		return text
	}
	for n > 0 && text[n]&0xc0 == 0x80 {
		n--
	}
	return text[:n]
}
