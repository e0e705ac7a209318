package pipeline

import (
	"context"
	"errors"
	"time"

	"ingestion.internal/shared/chat"
	"ingestion.internal/shared/logging"
	"ingestion.internal/shared/store"
)

// Unanswered is what stands in a conversation where whoever was to answer did
// not live to do it.
const Unanswered = "Thank you, we have your message. A colleague will get back to you."

// RecordChat brings what was said in a conversation to its request: the first
// time it makes the request, later its pipeline begins again. It may be called
// any number of times, at once too. A message that somebody is still answering
// waits, and those behind it: recorded is false then, and the sweeper comes
// back to it.
func RecordChat(ctx context.Context, db *store.DB, enqueuer *Enqueuer, tenantID, sessionID string) (recorded bool, err error) {
	requestID := chat.RequestID(tenantID, sessionID)
	handle := db.Tenant(tenantID)
	session, err := handle.Chat(ctx, sessionID)
	if err != nil {
		return false, err
	}
	messages, err := handle.ChatMessages(ctx, sessionID, session.Recorded)
	if err != nil || len(messages) == 0 {
		return err == nil, err
	}
	for i := range messages {
		if messages[i].Answer != nil {
			continue
		}
		answer, _, err := handle.Answer(ctx, sessionID, messages[i].Number, "", store.ChatAnswer{Text: Unanswered, By: chat.Notice})
		if errors.Is(err, store.ErrLostClaim) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		messages[i].Answer = answer
	}
	event, err := chat.Event(tenantID, session, messages)
	if err != nil {
		return false, err
	}
	if _, err := RecordEvent(ctx, db, enqueuer, tenantID, requestID, store.ModeChat, event, chat.FoldEvents(tenantID)); err != nil {
		return false, err
	}
	return true, handle.ChatRecorded(ctx, sessionID, messages[len(messages)-1].Number)
}

// chatPatience is how long a conversation waits that could not be recorded.
const chatPatience = 15 * time.Minute

// ChatSweep is what one run over quiet conversations did.
type ChatSweep struct {
	Found    int `json:"found"`    // closed or quiet conversations, at most the batch
	Recorded int `json:"recorded"` // in their requests
	Failed   int `json:"failed"`   // another run tries again
}

// SweepChats makes requests of conversations that are closed or quiet, of at
// most a batch. The error joins what kept some from it.
func (s *Sweeper) SweepChats(ctx context.Context) (ChatSweep, error) {
	quiet, err := s.db.QuietChats(ctx, s.batch)
	if err != nil {
		return ChatSweep{}, err
	}
	did := ChatSweep{Found: len(quiet)}
	var errs []error
	for _, c := range quiet {
		recorded, err := RecordChat(logging.Apart(ctx), s.db, s.enqueuer, c.TenantID, c.SessionID)
		switch {
		case recorded:
			did.Recorded++
			continue
		case err == nil: // somebody is answering, for seconds at most
			continue
		case !errors.Is(err, store.ErrNotFound): // its tenant is not active; it waits until it is
			errs = append(errs, err)
			did.Failed++
		}
		// Those that cannot be recorded do not keep others from it.
		if err := s.db.Tenant(c.TenantID).PostponeChat(ctx, c.SessionID, chatPatience); err != nil {
			errs = append(errs, err)
		}
	}
	return did, errors.Join(errs...)
}
