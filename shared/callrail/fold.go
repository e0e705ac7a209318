package callrail

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"ingestion.internal/shared/jsontext"
)

// Call is what all the events of one call say together.
type Call struct {
	CustomerName  string
	CustomerPhone string
	RecordingURL  string
	Duration      time.Duration // 0 if unknown
	Ended         bool          // false: it may still be going on
	Unanswered    bool          // nobody answered and there is no voicemail
	Outbound      bool          // the company called
	// Payload has the fields of all events, a JSON object.
	Payload json.RawMessage
}

// HasRecording tells whether audio can be expected: it is named, or the call
// was one that is recorded.
func (c *Call) HasRecording() bool {
	return c.RecordingURL != "" || c.Duration > 0 && !c.Unanswered
}

// FoldCall makes a call of its events, see merge.
func FoldCall(events []Event) (*Call, error) {
	all, err := merge(events)
	if err != nil {
		return nil, err
	}
	ended := slices.ContainsFunc(events, func(e Event) bool { return e.Kind.phase() >= PostCall.phase() })
	payload, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("merged payload: %w", err)
	}
	c := &Call{
		CustomerName:  all.text("customer_name", "callername"),
		CustomerPhone: all.text("caller_id", "customer_phone_number", "callernum"),
		RecordingURL:  all.text("recording_url", "recording"),
		Duration:      all.seconds("duration"),
		Ended:         ended,
		Outbound:      all.outbound(),
		Payload:       payload,
	}
	if answered, ok := all.flag("answered"); ok && !answered {
		voicemail, _ := all.flag("voicemail")
		c.Unanswered = !voicemail
	}
	return c, nil
}

// merge makes one payload of events. The result is the same whatever their
// order and however often each is among them: a field has the value of the last
// event, by order, that gives it one. Events are in the order of their phase
// (ringing, over, modified), then of their timestamps. CallRail's modifications
// need not carry the time of the change, so of two with one timestamp that with
// more fields filled counts, and after that their text decides.
func merge(events []Event) (object, error) {
	type layer struct {
		Event
		fields object
		filled int
		text   string // the same for what was stored and read again
	}
	layers := make([]layer, len(events))
	for i, e := range events {
		fields, err := parseObject(e.Body)
		if err != nil {
			return nil, fmt.Errorf("event %d: %w", i, err)
		}
		layers[i] = layer{Event: e, fields: fields, text: string(jsontext.Canonical(e.Body))}
		for name := range fields {
			if fields.filled(name) {
				layers[i].filled++
			}
		}
	}
	slices.SortFunc(layers, func(a, b layer) int {
		return cmp.Or(
			cmp.Compare(a.Kind.phase(), b.Kind.phase()),
			a.Timestamp.Compare(b.Timestamp),
			cmp.Compare(a.filled, b.filled),
			strings.Compare(a.text, b.text),
		)
	})
	all := object{}
	for _, l := range layers {
		for name, value := range l.fields {
			// Something known is not forgotten for a field that is empty.
			if _, ok := all[name]; !ok || l.fields.filled(name) {
				all[name] = value
			}
		}
	}
	return all, nil
}

// filled tells a field that says something.
func (o object) filled(name string) bool {
	switch string(bytes.TrimSpace(o[name])) {
	case "", "null", `""`, "[]", "{}":
		return false
	}
	return true
}

// RecordingAddress returns an address of a recording without what differs each
// time that CallRail names the same one: its access key.
func RecordingAddress(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	u.RawQuery, u.Fragment = "", ""
	return u.String()
}

// SameRecording tells whether two addresses are of one recording.
func SameRecording(a, b string) bool { return RecordingAddress(a) == RecordingAddress(b) }

// judged are the fields by which a call is judged: when one of them changes,
// the call is analysed again.
var judged = []string{
	"answered", "call_summary", "call_type", "caller_id", "callername", "callernum", "conversational_transcript",
	"customer_city", "customer_country", "customer_name", "customer_phone_number", "customer_state", "customer_zip",
	"direction", "duration", "keywords_spotted", "lead_status", "note", "source_name", "tags", "transcription", "value",
	"voicemail", "zip_code",
}

// SameCall tells whether two merged payloads would be judged alike.
func SameCall(a, b json.RawMessage) bool {
	x, errA := parseObject(a)
	y, errB := parseObject(b)
	if errA != nil || errB != nil {
		return false
	}
	return maps.Equal(x.judgement(), y.judgement())
}

func (o object) judgement() map[string]string {
	found := map[string]string{}
	for _, name := range judged {
		if !o.filled(name) {
			continue
		}
		found[name] = o.text(name)
		if found[name] == "" { // a list or an object
			var compact bytes.Buffer
			if json.Compact(&compact, o[name]) == nil {
				found[name] = compact.String()
			}
		}
	}
	return found
}

// Message is one text message.
type Message struct {
	ID    string    `json:"id,omitempty"`
	From  string    `json:"from"` // customer or business
	At    time.Time `json:"at,omitzero"`
	Text  string    `json:"text"`
	Media []string  `json:"media,omitempty"` // addresses of pictures, which CallRail does not keep for long
}

// Who a message is from.
const (
	FromCustomer = "customer"
	FromBusiness = "business"
)

// Conversation is what all the text messages with one customer say together.
type Conversation struct {
	ID            string    `json:"conversation_id"`
	CustomerPhone string    `json:"customer_phone_number"`
	Messages      []Message `json:"messages"`
}

// HasCustomer tells whether the customer has written.
func (c *Conversation) HasCustomer() bool {
	return slices.ContainsFunc(c.Messages, func(m Message) bool { return m.From == FromCustomer })
}

// FoldTexts makes a conversation of its messages: the same whatever their order
// and however often each is among them. They are in the order of their
// timestamps.
func FoldTexts(events []Event) (*Conversation, error) {
	c := &Conversation{}
	seen := map[string]bool{}
	for i, e := range events {
		fields, err := parseObject(e.Body)
		if err != nil {
			return nil, fmt.Errorf("event %d: %w", i, err)
		}
		m := Message{ID: fields.text("resource_id", "id"), From: FromCustomer, At: e.Timestamp, Text: fields.text("content")}
		customer := fields.text("source_number")
		if e.Kind == TextSent {
			m.From, customer = FromBusiness, fields.text("destination_number")
		}
		_ = json.Unmarshal(fields["media_urls"], &m.Media) // absent, or of another shape: none
		c.ID, c.CustomerPhone = e.ConversationID, cmp.Or(min(c.CustomerPhone, customer), c.CustomerPhone, customer)
		key := strings.Join([]string{m.ID, m.From, m.Text, m.At.UTC().String()}, "\x00")
		if !seen[key] {
			seen[key] = true
			c.Messages = append(c.Messages, m)
		}
	}
	slices.SortFunc(c.Messages, func(a, b Message) int {
		return cmp.Or(a.At.Compare(b.At), strings.Compare(a.ID, b.ID), strings.Compare(a.From, b.From), strings.Compare(a.Text, b.Text))
	})
	return c, nil
}
