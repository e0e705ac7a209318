// Package sample makes up what the commands call, form and text send. The calls'
// words and the webhook's shape are the CallRail stand-in's.
package sample

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"slices"
	"strconv"
	"strings"
	"time"

	"ingestion.internal/local/standin/audio"
)

// Speakers of a turn.
const (
	customer = 1
	agent    = 2
)

// ReadScript reads a conversation, one turn a line: "Customer: ..." or
// "Agent: ...". A line without a speaker goes on with the turn before it;
// empty lines and those that begin with # are skipped.
func ReadScript(r io.Reader) ([]audio.Turn, error) {
	var turns []audio.Turn
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		who, text, _ := strings.Cut(line, ":")
		speaker := 0
		switch strings.ToLower(strings.TrimSpace(who)) {
		case "customer", "caller":
			speaker = customer
		case "agent":
			speaker = agent
		}
		switch text = strings.TrimSpace(text); {
		case speaker != 0 && text != "":
			turns = append(turns, audio.Turn{Speaker: speaker, Text: text})
		case speaker != 0:
			return nil, fmt.Errorf("line %d: %s says nothing", n, who)
		case len(turns) == 0:
			return nil, fmt.Errorf(`line %d: it must begin with "Customer:" or "Agent:"`, n)
		default:
			turns[len(turns)-1].Text += " " + line
		}
	}
	if err := sc.Err(); err != nil {
		return nil, err
	}
	if len(turns) == 0 {
		return nil, errors.New("nobody says anything in it")
	}
	return turns, nil
}

// CallID returns a call's resource id of CallRail's kind that no other call
// has: it holds the microseconds of a moment.
func CallID(now time.Time) string { return "CAL" + strconv.FormatInt(now.UnixMicro(), 10) }

// Form is a website form.
type Form struct {
	TenantID, OfficeID         string
	Name, Phone, Email, Postal string
	Message                    string
	More                       map[string]string // further fields; those above win
}

// Forms that form sends unless it is told otherwise.
var (
	Enquiry = Form{
		Name: "Dana Whitfield", Phone: "+13105550142", Email: "dana.whitfield@example.com", Postal: "90210",
		Message: "We would like a quote for a kitchen remodel with new cabinets and countertops. Our budget is about $40,000 and we want to start next month.",
	}
	Advertisement = Form{
		Name: "Rank Masters", Phone: "+18885550100", Email: "offers@example.net",
		Message: "Congratulations! Get guaranteed first page Google rankings with our SEO service. Limited time offer, act now: click here for cheap backlinks.",
	}
)

// JSON returns the body of the request; empty fields are left out.
func (f Form) JSON() ([]byte, error) { return json.Marshal(f.fields()) }

// CallRail returns the body of CallRail's webhook Form Submission that tells of
// the form. https://apidocs.callrail.com/#webhooks
func (f Form) CallRail(companyID, companyResourceID string, now time.Time) ([]byte, error) {
	fields := f.fields()
	// CallRail knows companies, and nothing of tenants.
	delete(fields, "tenant_id")
	delete(fields, "office_id")
	return json.Marshal(map[string]any{
		"id": now.UnixMicro(), "company_id": companyID, "company_resource_id": companyResourceID,
		"form_data": fields, "form_url": "https://www.example.com/contact", "landing_page_url": "https://www.example.com/",
		"referrer": "direct", "submitted_at": now.Format(time.RFC3339), "first_form": true, "source": "Direct",
	})
}

// File is a file that comes with a form.
type File struct {
	Name string
	Data []byte
}

// Multipart returns the body of the request as a browser makes it of a form
// with files, and its content type.
func (f Form) Multipart(files []File) (body []byte, contentType string, err error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	fields := f.fields()
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		err = errors.Join(err, w.WriteField(name, fields[name]))
	}
	for _, file := range files {
		part, partErr := w.CreateFormFile("file", file.Name)
		if err = errors.Join(err, partErr); err == nil {
			_, err = part.Write(file.Data)
		}
	}
	err = errors.Join(err, w.Close())
	return b.Bytes(), w.FormDataContentType(), err
}

func (f Form) fields() map[string]string {
	body := maps.Clone(f.More)
	if body == nil {
		body = map[string]string{}
	}
	for k, v := range map[string]string{
		"tenant_id": f.TenantID, "office_id": f.OfficeID, "name": f.Name, "phone": f.Phone, "email": f.Email,
		"postal_code": f.Postal, "message": f.Message,
	} {
		if v != "" {
			body[k] = v
		}
	}
	return body
}

// Text is one text message between a customer and a company.
type Text struct {
	CompanyID, CompanyResourceID string
	Conversation                 string // its id
	Customer, Company            string // telephone numbers, E.164
	Sent                         bool   // by the company
	Content                      string
	Media                        []string // addresses of pictures
}

// Question is what a customer asks unless text is told otherwise.
const Question = "Hi, how much would it be to replace a 300 square foot deck in 90210? We want to start this month."

// JSON returns the body of CallRail's webhook Text Received, or Text Sent.
// https://apidocs.callrail.com/#webhooks
func (t Text) JSON(now time.Time) ([]byte, error) {
	body := map[string]any{
		"id": now.UnixMicro(), "resource_id": "MSG" + strconv.FormatInt(now.UnixMicro(), 10),
		"company_id": t.CompanyID, "company_resource_id": t.CompanyResourceID,
		"source_number": t.Customer, "destination_number": t.Company, "content": t.Content,
		"message_type": "sms", "media_urls": append([]string{}, t.Media...), "lead_status": nil,
		"conversation_id": t.Conversation, "timestamp": now.Format(time.RFC3339),
	}
	if len(t.Media) > 0 {
		body["message_type"] = "mms"
	}
	if t.Sent {
		body["source_number"], body["destination_number"], body["agent"] = t.Company, t.Customer, "Sample Agent"
	}
	return json.Marshal(body)
}

// Booking is an event of a booked visit, as the platform's webhook takes it.
type Booking struct {
	TenantID, OfficeID, ID     string
	Move, Cancel               bool
	Name, Phone, Email, Postal string
	Service, Notes             string
	At                         time.Time // when the event happens; the visit is two days later, after a move three
}

// Visit is booked unless booking is told otherwise.
var Visit = Booking{
	Name: "Dana Whitfield", Phone: "(310) 555-0142", Email: "dana.whitfield@example.com", Postal: "90210",
	Service: "Kitchen estimate at home", Notes: "We would like a quote for new cabinets and countertops, the budget is about $40,000.",
}

// JSON returns the body of the request; empty fields are left out.
func (b Booking) JSON() ([]byte, error) {
	type customer struct {
		Name  string `json:"name,omitempty"`
		Phone string `json:"phone,omitempty"`
		Email string `json:"email,omitempty"`
		Zip   string `json:"zip,omitempty"`
	}
	starts := b.At.Truncate(time.Hour).Add(48 * time.Hour)
	event := struct {
		TenantID  string    `json:"tenant_id"`
		OfficeID  string    `json:"office_id,omitempty"`
		BookingID string    `json:"booking_id"`
		Status    string    `json:"status"`
		UpdatedAt time.Time `json:"updated_at"`
		StartsAt  time.Time `json:"starts_at,omitzero"`
		EndsAt    time.Time `json:"ends_at,omitzero"`
		Customer  customer  `json:"customer,omitzero"`
		Service   string    `json:"service,omitempty"`
		Notes     string    `json:"notes,omitempty"`
	}{
		b.TenantID, b.OfficeID, b.ID, "booked", b.At, starts, starts.Add(time.Hour),
		customer{b.Name, b.Phone, b.Email, b.Postal}, b.Service, b.Notes,
	}
	switch {
	case b.Cancel:
		event.Status, event.StartsAt, event.EndsAt = "cancelled", time.Time{}, time.Time{}
	case b.Move:
		event.Status, event.StartsAt, event.EndsAt = "moved", starts.Add(24*time.Hour), starts.Add(25*time.Hour)
	}
	return json.Marshal(event)
}

// Event is an event of Google Calendar as its owner writes it.
type Event struct {
	Summary     string       `json:"summary,omitempty"`
	Description string       `json:"description,omitempty"`
	Location    string       `json:"location,omitempty"`
	Start       *EventTime   `json:"start,omitempty"`
	End         *EventTime   `json:"end,omitempty"`
	Attendees   []EventGuest `json:"attendees,omitempty"`
}

// EventTime is when an event begins or ends.
type EventTime struct {
	DateTime time.Time `json:"dateTime"`
}

// EventGuest is a guest of an event.
type EventGuest struct {
	Email       string `json:"email"`
	DisplayName string `json:"displayName,omitempty"`
	Organizer   bool   `json:"organizer,omitempty"`
}

// Event returns the booking as an event that a booking page puts into a
// calendar: the telephone number is in the description.
func (b Booking) Event() Event {
	starts := b.At.Truncate(time.Hour).Add(48 * time.Hour)
	description := b.Notes
	if b.Phone != "" {
		description += "\nPhone: " + b.Phone
	}
	e := Event{
		Summary: b.Service, Description: description, Location: b.Postal,
		Start: &EventTime{starts}, End: &EventTime{starts.Add(time.Hour)},
	}
	if b.Email != "" {
		e.Attendees = []EventGuest{{Email: b.Email, DisplayName: b.Name}}
	}
	return e
}
