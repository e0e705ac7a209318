package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"ingestion.internal/shared/assistant"
	"ingestion.internal/shared/chat"
	"ingestion.internal/shared/logging"
	"ingestion.internal/shared/store"
)

const (
	// answerTimeout bounds the making of one answer, with the wait for the one
	// before.
	answerTimeout = 25 * time.Second
	// answerLease is how long an answer is its maker's alone.
	answerLease = answerTimeout + 15*time.Second
	// lookEvery is how often an answer is looked for that another instance is
	// making.
	lookEvery = 250 * time.Millisecond
)

// errUnanswered says that an answer cannot be had now. The message is safe.
var errUnanswered = errors.New("the answer was not kept")

// keep takes the message in and returns its answer, which may still be in the
// making: by this request if claimed, by another one, or by another instance.
func (h *handler) keep(ctx context.Context, v *visit, m store.ChatMessage) (*store.ChatSaid, *answering, error) {
	claim := uuid.NewString()
	said, err := v.tenant.Say(ctx, v.session.SessionID, m, claim, answerLease, v.lets.Quiet(), int64(v.lets.MaxMessages))
	if err != nil {
		return nil, nil, err
	}
	switch {
	case said.Message.Answer != nil:
		return said, given(*said.Message.Answer), nil
	case said.Claimed:
		a := h.running.begin(v.key(m.Number))
		// An answer is made to its end, whoever listens: Cloud Run gives CPU
		// while a request is open, so whoever claimed it waits for it.
		go h.make(context.WithoutCancel(ctx), v, m.Number, claim, a)
		return said, a, nil
	}
	return said, h.await(ctx, v, m), nil
}

// await returns the answer that somebody else is making.
func (h *handler) await(ctx context.Context, v *visit, m store.ChatMessage) *answering {
	if a := h.running.find(v.key(m.Number)); a != nil {
		return a
	}
	a := newAnswering()
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerLease+answerTimeout)
		defer cancel()
		a.finish(h.look(ctx, v, m))
	}()
	return a
}

// look waits until the message has its answer, and makes it where whoever was
// to do it has not.
func (h *handler) look(ctx context.Context, v *visit, m store.ChatMessage) (*store.ChatAnswer, error) {
	for {
		found, err := v.tenant.ChatMessages(ctx, v.session.SessionID, m.Number-1)
		switch {
		case err != nil:
			return nil, err
		case len(found) == 0:
			return nil, errUnanswered
		case found[0].Answer != nil:
			return found[0].Answer, nil
		case time.Now().After(found[0].AnsweringUntil):
			_, a, err := h.keep(ctx, v, found[0])
			if err != nil {
				return nil, err
			}
			return a.wait(ctx)
		}
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// wait returns the answer once it is kept.
func (a *answering) wait(ctx context.Context) (*store.ChatAnswer, error) {
	for {
		h := a.from(0)
		if h.over {
			return h.result, h.err
		}
		select {
		case <-h.changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// make makes and keeps the answer to a message.
func (h *handler) make(ctx context.Context, v *visit, number int64, claim string, a *answering) {
	defer h.running.end(v.key(number), a)
	tenantID, sessionID := v.tenant.ID(), v.session.SessionID
	ctx = logging.With(logging.WithTenant(ctx, tenantID), slog.String("session_id", sessionID), slog.Int64("number", number))
	composing, cancel := context.WithTimeout(ctx, answerTimeout)
	by := h.compose(composing, v, number, a.say)
	cancel()

	keeping, cancel := context.WithTimeout(ctx, acceptTimeout)
	defer cancel()
	kept, closed, err := v.tenant.Answer(keeping, sessionID, number, claim, store.ChatAnswer{Text: a.said(), By: by})
	if err != nil {
		slog.ErrorContext(ctx, "an answer was given and not kept", slog.Any("error", err))
		a.finish(nil, errors.Join(errUnanswered, err))
		return
	}
	if closed { // while it was being made
		h.record(keeping, tenantID, sessionID)
	}
	a.finish(kept, nil)
}

// fallback is said where the assistant cannot answer, or not to the end.
const fallback = "I cannot answer that just now. We have your message, and a colleague will get back to you."

// compose says the answer, piece by piece, and returns by whom it is. Whatever
// becomes of the assistant, something is said.
func (h *handler) compose(ctx context.Context, v *visit, number int64, say func(string)) string {
	if !v.lets.Assistant {
		say(v.lets.Acknowledgement)
		return chat.Notice
	}
	before, err := h.before(ctx, v, number)
	if err != nil {
		slog.WarnContext(ctx, "the conversation cannot be read for its answer", slog.Any("error", err))
		say(fallback)
		return chat.Notice
	}
	var conversation []assistant.Turn
	answers := 0
	for _, m := range before {
		conversation = append(conversation, assistant.Turn{From: "visitor", Text: m.Text})
		if m.Number == number {
			break
		}
		if m.Answer != nil {
			conversation = append(conversation, assistant.Turn{From: "assistant", Text: m.Answer.Text})
			if m.Answer.By == chat.Assistant {
				answers++
			}
		}
	}
	if answers >= v.lets.MaxAnswers {
		say(v.lets.Acknowledgement)
		return chat.Notice
	}
	spoken := false
	err = h.assistant.Answer(ctx, v.lets.Facts, conversation, func(piece string) {
		spoken = true
		say(piece)
	})
	switch {
	case err == nil:
		return chat.Assistant
	case spoken:
		say(" " + fallback)
		return chat.Assistant
	}
	say(fallback)
	return chat.Notice
}

// before returns the conversation through the message, once those before it
// have their answers or nobody is making one any more.
func (h *handler) before(ctx context.Context, v *visit, number int64) ([]store.ChatMessage, error) {
	for {
		all, err := v.tenant.ChatMessages(ctx, v.session.SessionID, 0)
		if err != nil {
			return nil, err
		}
		waits := slices.ContainsFunc(all, func(m store.ChatMessage) bool {
			return m.Number < number && m.Answer == nil && time.Now().Before(m.AnsweringUntil)
		})
		if !waits {
			return all, nil
		}
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return all, nil // better an answer that knows less than none
		}
	}
}
