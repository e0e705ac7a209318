package chat

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ingestion.internal/shared/contact"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/topology"
)

// Who a message of a request's payload is from.
const (
	FromVisitor   = "visitor"
	FromAssistant = "assistant"
)

// turn is one message of either side in the request's payload, in the shape
// that the analysis reads.
type turn struct {
	From string    `json:"from"`
	Text string    `json:"text"`
	At   time.Time `json:"at,omitzero"`
}

// payload is what the request says of the conversation.
type payload struct {
	Page     string         `json:"page,omitempty"`
	Session  map[string]any `json:"session,omitempty"`
	Messages []turn         `json:"messages"`
}

// Conversation is what all segments of one conversation say together.
type Conversation struct {
	OfficeID string
	Visitor  store.Visitor // number in E.164 and address in small letters, where they can be
	Payload  json.RawMessage
}

// Fold makes a conversation of its segments. The result is the same whatever
// their order and however often each is among them: every message counts once,
// by its number, and of what the page knew of its visitor the last word counts
// that is one.
func Fold(segments []Segment) (*Conversation, error) {
	ordered := slices.Clone(segments)
	slices.SortFunc(ordered, compare)
	var c Conversation
	p := payload{Messages: []turn{}}
	said := map[int64]Message{}
	for _, s := range ordered {
		c.OfficeID = cmp.Or(c.OfficeID, s.OfficeID)
		p.Page = cmp.Or(p.Page, s.Page)
		if p.Session == nil && s.SessionID != "" {
			p.Session = map[string]any{"id": s.SessionID}
		}
		c.Visitor = over(c.Visitor, s.Visitor)
		for _, m := range s.Messages {
			// A message does not change. Should it, the choice is the same
			// whatever the order.
			if known, ok := said[m.Number]; !ok || less(known, m) {
				said[m.Number] = m
			}
		}
	}
	for _, number := range slices.Sorted(maps.Keys(said)) {
		m := said[number]
		c.Visitor = over(c.Visitor, m.Visitor)
		p.Messages = append(p.Messages, turn{FromVisitor, m.Text, m.At})
		if m.Answer != nil && m.Answer.Text != "" {
			p.Messages = append(p.Messages, turn{FromAssistant, m.Answer.Text, m.Answer.At})
		}
	}
	if phone, err := contact.E164(c.Visitor.Phone); err == nil {
		c.Visitor.Phone = phone
	}
	if email, err := contact.Email(c.Visitor.Email); err == nil {
		c.Visitor.Email = email
	}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("conversation: %w", err)
	}
	c.Payload = text
	return &c, nil
}

// compare orders segments by their messages, and then by all that they say.
func compare(a, b Segment) int {
	return cmp.Or(cmp.Compare(firstOf(a), firstOf(b)), cmp.Compare(len(a.Messages), len(b.Messages)), strings.Compare(text(a), text(b)))
}

func firstOf(s Segment) int64 {
	if len(s.Messages) == 0 {
		return 0
	}
	return s.Messages[0].Number
}

func less(a, b Message) bool { return text(a) < text(b) }

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "" // a time beyond the year 9999: such texts are all alike
	}
	return string(b)
}

// over lays what is later known of the visitor over what was known.
func over(known, later store.Visitor) store.Visitor {
	return store.Visitor{
		Name:  cmp.Or(later.Name, known.Name),
		Phone: cmp.Or(later.Phone, known.Phone),
		Email: cmp.Or(later.Email, known.Email),
		Zip:   cmp.Or(later.Zip, known.Zip),
	}
}

// FoldEvents has a conversation analysed when it becomes a request, and again
// whenever something was said since.
func FoldEvents(tenantID string) store.Fold {
	return func(current *store.Request, events []store.Event) (store.Revision, error) {
		segments := make([]Segment, len(events))
		for i, e := range events {
			s, err := Parse(e.Payload)
			if err != nil {
				return store.Revision{}, fmt.Errorf("event %s: %w", e.ID, err)
			}
			segments[i] = *s
		}
		c, err := Fold(segments)
		if err != nil {
			return store.Revision{}, err
		}
		revision := store.Revision{Begin: topology.AIAnalysis, Request: store.Request{
			TenantID:          tenantID,
			OfficeID:          c.OfficeID,
			Source:            store.SourceChat,
			CommunicationMode: store.ModeChat,
			CustomerName:      c.Visitor.Name,
			CustomerPhone:     c.Visitor.Phone,
			CustomerEmail:     c.Visitor.Email,
			PostalCode:        c.Visitor.Zip,
			Payload:           c.Payload,
		}}
		if current != nil {
			before, err := Fold(segments[:len(segments)-1])
			if err != nil {
				return store.Revision{}, err
			}
			if before.Visitor == c.Visitor && bytes.Equal(before.Payload, c.Payload) {
				revision.Begin = ""
			}
		}
		return revision, nil
	}
}
