package callrail

import (
	"cmp"
	"encoding/json"
	"fmt"
	"time"
)

// Picture is one that a customer sent with a text message.
type Picture struct {
	// Source names it, the same whenever its conversation is folded.
	Source  string
	Address string // of CallRail's, short-lived
}

// PicturesOf returns the pictures that the customer of a conversation sent, by
// its payload. Those of the company are its own.
func PicturesOf(payload json.RawMessage) ([]Picture, error) {
	var c Conversation
	if err := json.Unmarshal(payload, &c); err != nil {
		return nil, fmt.Errorf("conversation: %w", err)
	}
	return c.Pictures(), nil
}

// Pictures are those of PicturesOf.
func (c *Conversation) Pictures() []Picture {
	var all []Picture
	for _, m := range c.Messages {
		if m.From != FromCustomer {
			continue
		}
		for i, address := range m.Media {
			all = append(all, Picture{Source: fmt.Sprintf("%s/%d", cmp.Or(m.ID, m.At.UTC().Format(time.RFC3339Nano)), i+1), Address: address})
		}
	}
	return all
}
