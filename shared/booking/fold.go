package booking

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"ingestion.internal/shared/contact"
	"ingestion.internal/shared/jsontext"
)

// Booking is what all the events of one booking say together.
type Booking struct {
	OfficeID string
	Status   Status
	Customer Customer // the phone number in E.164 and the address in small letters, where they can be
	// Payload has the fields of all events, a JSON object, and in changes,
	// where there are several, the states and times that the booking has had.
	Payload json.RawMessage
}

// change is one of a booking's states.
type change struct {
	Status   Status `json:"status"`
	StartsAt any    `json:"starts_at,omitempty"`
	EndsAt   any    `json:"ends_at,omitempty"`
}

// about are the fields that are about an event and not its booking, and the one
// that is made here.
var about = []string{"tenant_id", "sequence", "updated_at", "changes"}

// Fold makes a booking of its events. The result is the same whatever their
// order and however often each is among them: events are in the order of their
// sequence, then of updated_at; of two that do not differ in these, a
// cancellation counts more than a move and that more than the booking itself,
// and after that their text decides. A field, and each of the customer's, has
// the value of the last event that gives it one.
func Fold(events []Event) (*Booking, error) {
	ordered := slices.Clone(events)
	slices.SortFunc(ordered, Event.Compare)
	all := map[string]any{}
	var changes []change
	for _, e := range ordered {
		fields, err := jsontext.Object(e.Body)
		if err != nil {
			return nil, fmt.Errorf("event of sequence %d: %w", e.Sequence, err)
		}
		for _, name := range about {
			delete(fields, name)
		}
		lay(all, fields)
		next := change{e.Status, all["starts_at"], all["ends_at"]}
		if len(changes) == 0 || changes[len(changes)-1] != next {
			changes = append(changes, next)
		}
	}
	if len(changes) > 1 {
		all["changes"] = changes
	}
	payload, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("merged payload: %w", err)
	}
	var d document
	if err := json.Unmarshal(payload, &d); err != nil {
		return nil, fmt.Errorf("merged payload: %w", err)
	}
	b := &Booking{OfficeID: d.OfficeID, Status: d.Status, Customer: d.Customer, Payload: payload}
	if phone, err := contact.E164(b.Customer.Phone); err == nil {
		b.Customer.Phone = phone
	}
	if email, err := contact.Email(b.Customer.Email); err == nil {
		b.Customer.Email = email
	}
	return b, nil
}

// Compare orders a booking's events as they are folded.
func (e Event) Compare(other Event) int {
	return cmp.Or(
		cmp.Compare(e.Sequence, other.Sequence),
		e.UpdatedAt.Compare(other.UpdatedAt),
		cmp.Compare(e.Status.rank(), other.Status.rank()),
		strings.Compare(string(e.Body), string(other.Body)),
	)
}

// lay puts fields over all. Something known is not forgotten for a field that
// is empty, and objects are laid field by field.
func lay(all, fields map[string]any) {
	for name, value := range fields {
		if value == nil || value == "" {
			continue
		}
		known, isKnown := all[name].(map[string]any)
		object, isObject := value.(map[string]any)
		switch {
		case isKnown && isObject:
			lay(known, object)
		case isObject:
			object = map[string]any{}
			lay(object, value.(map[string]any))
			all[name] = object
		default:
			all[name] = value
		}
	}
}

// StatusOf returns the state of the booking in a folded payload, "" if it is
// none.
func StatusOf(payload json.RawMessage) Status {
	var d struct {
		Status Status `json:"status"`
	}
	if json.Unmarshal(payload, &d) != nil {
		return ""
	}
	return d.Status
}
