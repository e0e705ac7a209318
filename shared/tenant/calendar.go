package tenant

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Calendar is a Google Calendar whose events with customers are bookings of its
// tenant's.
type Calendar struct {
	ID         string   `json:"id"`                   // of the calendar's settings, "Integrate calendar": an e-mail address
	OfficeID   string   `json:"officeId,omitempty"`   // whose the bookings are; empty = the tenant's first
	OwnDomains []string `json:"ownDomains,omitempty"` // of the company's e-mail addresses: nobody there is a customer
}

var (
	calendarID = regexp.MustCompile(`^[!-.0-9A-Z^-~]+@[0-9A-Za-z.-]+$`)
	mailDomain = regexp.MustCompile(`^[0-9a-z-]+(\.[0-9a-z-]+)+$`)
)

// maxCalendarID is the width of the database's column.
const maxCalendarID = 255

// ValidateCalendars checks a tenant's calendars. The error joins every mistake,
// each with its path below path.
func ValidateCalendars(calendars []Calendar, offices func(id string) bool, path string) error {
	var errs []error
	seen := map[string]bool{}
	for i, c := range calendars {
		add := func(at, format string, args ...any) {
			errs = append(errs, fmt.Errorf("%s[%d].%s: %s", path, i, at, fmt.Sprintf(format, args...)))
		}
		switch {
		case len(c.ID) > maxCalendarID || !calendarID.MatchString(c.ID):
			add("id", "must be a calendar's id such as abc@group.calendar.google.com, not %q", c.ID)
		case seen[strings.ToLower(c.ID)]:
			add("id", "%q is there twice", c.ID)
		}
		seen[strings.ToLower(c.ID)] = true
		if c.OfficeID != "" && !offices(c.OfficeID) {
			add("officeId", "the tenant has no office %q", c.OfficeID)
		}
		for j, d := range c.OwnDomains {
			if len(d) > maxCalendarID || !mailDomain.MatchString(d) {
				add(fmt.Sprintf("ownDomains[%d]", j), "must be the domain of e-mail addresses in small letters, such as acme.example, not %q", d)
			}
		}
	}
	return errors.Join(errs...)
}
