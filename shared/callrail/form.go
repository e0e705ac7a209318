package callrail

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"ingestion.internal/shared/jsontext"
)

// Form is what all the events of one form's submission say together.
type Form struct {
	// Fields are what the form asked for and was told, by the names of the
	// website. Numbers are json.Number.
	Fields map[string]any
	// Payload has the fields of all events, a JSON object.
	Payload json.RawMessage
}

// FoldForm makes a form of its events, see merge. CallRail sends one for each
// submission; of several, the last counts. A form whose data is not an object
// has no fields, and its payload keeps what it has.
func FoldForm(events []Event) (*Form, error) {
	all, err := merge(events)
	if err != nil {
		return nil, err
	}
	payload, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("merged payload: %w", err)
	}
	f := &Form{Fields: map[string]any{}, Payload: payload}
	data := string(all["form_data"])
	if text := all.text("form_data"); strings.HasPrefix(text, "{") {
		data = text // an object that was written as a string
	}
	dec := json.NewDecoder(strings.NewReader(data))
	dec.UseNumber()
	var fields map[string]any
	if dec.Decode(&fields) == nil && fields != nil {
		f.Fields = fields
	}
	return f, nil
}

// SameForm tells whether two merged payloads would be judged alike: the form
// says the same.
func SameForm(a, b json.RawMessage) bool {
	x, errA := parseObject(a)
	y, errB := parseObject(b)
	return errA == nil && errB == nil && bytes.Equal(jsontext.Canonical(x["form_data"]), jsontext.Canonical(y["form_data"]))
}
