// Package chat makes a request of a conversation on a tenant's page. What was
// said reaches the request in segments, one each time the conversation is
// closed or quiet: the messages since the last one, with what was answered.
// docs/channels.md, "Chat", tells how a conversation goes.
package chat

import (
	"encoding/json"
	"fmt"
	"time"

	"ingestion.internal/shared/store"
)

// By whom an answer was given.
const (
	Assistant = "assistant" // by the model, sentence by sentence checked
	Notice    = "notice"    // a fixed sentence
)

// Segment is one part of a conversation, the payload of an event.
type Segment struct {
	SessionID string        `json:"session_id"`
	OfficeID  string        `json:"office_id,omitempty"`
	Page      string        `json:"page,omitempty"`
	Visitor   store.Visitor `json:"visitor,omitzero"` // as the page knew it when the conversation began
	Messages  []Message     `json:"messages"`
}

// Message is what the visitor said, and what was answered.
type Message struct {
	Number  int64         `json:"number"`
	Text    string        `json:"text"`
	At      time.Time     `json:"at,omitzero"`
	Visitor store.Visitor `json:"visitor,omitzero"`
	Answer  *Answer       `json:"answer,omitempty"`
}

// Answer is what was answered.
type Answer struct {
	Text string    `json:"text"`
	By   string    `json:"by"`
	At   time.Time `json:"at,omitzero"`
}

// RequestID is the conversation's request.
func RequestID(tenantID, sessionID string) string {
	return store.RequestID(tenantID, store.SourceChat, sessionID)
}

// Event returns the event that brings these messages to the conversation's
// request. It is the same for the same messages, whoever makes it. There is at
// least one message, and each has its answer.
func Event(tenantID string, s *store.ChatSession, messages []store.ChatMessage) (store.Event, error) {
	segment := Segment{SessionID: s.SessionID, OfficeID: s.OfficeID, Page: s.Page, Visitor: s.Visitor}
	for _, m := range messages {
		said := Message{Number: m.Number, Text: m.Text, At: m.At.UTC(), Visitor: m.Visitor}
		if m.Answer != nil {
			said.Answer = &Answer{Text: m.Answer.Text, By: m.Answer.By, At: m.Answer.At.UTC()}
		}
		segment.Messages = append(segment.Messages, said)
	}
	payload, err := json.Marshal(segment)
	if err != nil {
		return store.Event{}, fmt.Errorf("segment: %w", err)
	}
	first, last := messages[0], messages[len(messages)-1]
	return store.Event{
		ID:         store.EventID(tenantID, store.SourceChat, s.SessionID, fmt.Sprint(first.Number), fmt.Sprint(last.Number)),
		Type:       "messages",
		Source:     store.SourceChat,
		Payload:    payload,
		OccurredAt: last.At,
	}, nil
}

// Parse reads a segment as Event writes it.
func Parse(payload []byte) (*Segment, error) {
	var s Segment
	if err := json.Unmarshal(payload, &s); err != nil {
		return nil, fmt.Errorf("segment: %w", err)
	}
	return &s, nil
}
