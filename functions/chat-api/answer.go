package main

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"github.com/google/uuid"

	"ingestion.internal/shared/assistant"
	"ingestion.internal/shared/chat"
	"ingestion.internal/shared/logging"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/telemetry"
)

const (
	// answerTimeout bounds the making of one answer, after the wait for the one
	// before, which precedingTimeout bounds.
	answerTimeout    = 25 * time.Second
	precedingTimeout = 10 * time.Second
	// answerLease is how long an answer is its maker's alone.
	answerLease = precedingTimeout + answerTimeout + 10*time.Second
	// lookEvery is how often an answer is looked for that another instance is
	// making.
	lookEvery = 250 * time.Millisecond
)

// errUnanswered says that an answer cannot be had now. The message is safe.
var errUnanswered = errors.New("the answer was not kept")

// keep takes the message in and returns its answer, which may still be in the
// making: by this request if claimed, by another one, or by another instance.
// Whoever gets an answer has to call leave when it has heard enough.
func (h *handler) keep(ctx context.Context, v *visit, m store.ChatMessage) (said *store.ChatSaid, a *answering, leave func(), err error) {
	claim := uuid.NewString()
	said, err = h.reserve(ctx, v, m, claim)
	if err != nil {
		return nil, nil, nil, err
	}
	key := v.key(m.Number)
	switch {
	case said.Message.Answer != nil:
		return said, given(*said.Message.Answer), func() {}, nil
	case said.Claimed:
		a = h.running.begin(key)
		go h.make(context.WithoutCancel(ctx), v, m.Number, claim, a) // to its end, whoever listens
		return said, a, func() { h.running.leave(key, a) }, nil
	}
	a, leave = h.await(ctx, v, m)
	return said, a, leave, nil
}

// reserve takes the message in, and its answer for the claim if it is nobody
// else's business.
func (h *handler) reserve(ctx context.Context, v *visit, m store.ChatMessage, claim string) (*store.ChatSaid, error) {
	return v.tenant.Say(ctx, v.session.SessionID, m, claim, answerLease, store.ChatBounds{
		Quiet: v.lets.Quiet(), Messages: int64(v.lets.MaxMessages), Chars: maxConversationChars,
	})
}

// await returns the answer that somebody else is making, or that this instance
// is.
func (h *handler) await(ctx context.Context, v *visit, m store.ChatMessage) (*answering, func()) {
	key := v.key(m.Number)
	a := h.running.join(ctx, key, func(ctx context.Context, a *answering) {
		defer h.running.end(key, a)
		defer recovered(ctx, a)
		ctx, cancel := context.WithTimeout(ctx, 2*answerLease)
		defer cancel()
		h.look(ctx, v, m, a)
	})
	return a, func() { h.running.leave(key, a) }
}

// look waits until the message has its answer, and makes it where whoever was
// to do it has not.
func (h *handler) look(ctx context.Context, v *visit, m store.ChatMessage, a *answering) {
	for {
		found, err := v.tenant.ChatMessage(ctx, v.session.SessionID, m.Number)
		switch {
		case err != nil:
			a.finish(nil, err)
			return
		case found.Answer != nil:
			a.finish(found.Answer, nil)
			return
		case time.Now().After(found.AnsweringUntil):
			claim := uuid.NewString()
			a.make(true)
			said, err := h.reserve(ctx, v, *found, claim)
			switch {
			case err != nil:
				a.finish(nil, err)
				return
			case said.Claimed:
				h.make(context.WithoutCancel(ctx), v, m.Number, claim, a)
				return
			}
			a.make(false) // another was faster
		}
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			a.finish(nil, context.Cause(ctx))
			return
		}
	}
}

// recovered ends an answer whose maker panicked, for this must not take the
// instance and everybody else's conversations with it.
func recovered(ctx context.Context, a *answering) {
	if p := recover(); p != nil {
		logPanic(ctx, p)
		a.finish(nil, errUnanswered)
	}
}

func logPanic(ctx context.Context, p any) {
	slog.ErrorContext(ctx, "panic while an answer was made", slog.String(telemetry.Event, telemetry.ServicePanic), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
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
	defer recovered(ctx, a)
	tenantID, sessionID := v.tenant.ID(), v.session.SessionID
	ctx = logging.With(logging.WithTenant(ctx, tenantID), slog.String("session_id", sessionID), slog.Int64("number", number))
	by := h.compose(ctx, v, number, a.say)

	keeping, cancel := context.WithTimeout(ctx, acceptTimeout)
	defer cancel()
	kept, due, err := v.tenant.Answer(keeping, sessionID, number, claim, store.ChatAnswer{Text: a.said(), By: by})
	if err != nil {
		slog.ErrorContext(ctx, "an answer was given and not kept", slog.Any("error", err))
		a.finish(nil, errors.Join(errUnanswered, err))
		return
	}
	if due { // the conversation was closed meanwhile
		h.record(keeping, tenantID, sessionID)
	}
	a.finish(kept, nil)
}

// fallback is said where the assistant cannot answer, or not to the end.
const fallback = "I cannot answer that just now. We have your message, and a colleague will get back to you."

// compose says the answer, piece by piece, and returns by whom it is. Whatever
// becomes of the assistant, something is said.
func (h *handler) compose(ctx context.Context, v *visit, number int64, say func(string)) (by string) {
	// Every message up to the most is an attempt, also one that failed: it may
	// have been paid for all the same.
	if !v.lets.Assistant || number > int64(v.lets.MaxAnswers) {
		say(v.lets.Acknowledgement)
		return chat.Notice
	}
	spoken := false
	fail := func() string {
		if spoken {
			say(" " + fallback)
			return chat.Assistant
		}
		say(fallback)
		return chat.Notice
	}
	defer func() {
		if p := recover(); p != nil {
			logPanic(ctx, p)
			by = fail()
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, precedingTimeout+answerTimeout)
	defer cancel()
	conversation, err := h.before(ctx, v, number)
	if err != nil {
		slog.WarnContext(ctx, "the conversation cannot be read for its answer", slog.Any("error", err))
		return fail()
	}
	switch may, err := h.answers.take(ctx, v.tenant, int64(v.lets.MaxAnswersPerDay)); {
	case err != nil:
		slog.WarnContext(ctx, "the answers of the day cannot be counted", slog.Any("error", err))
		return fail()
	case !may:
		say(v.lets.Acknowledgement)
		return chat.Notice
	}
	if err := h.assistant.Answer(ctx, v.lets.Facts, conversation, func(piece string) {
		spoken = true
		say(piece)
	}); err != nil {
		return fail() // the assistant has told the log
	}
	return chat.Assistant
}

// before returns the conversation through the message, once those before it
// have their answers or nobody is making one any more. It does not wait for
// them without end: better an answer that knows less than none.
func (h *handler) before(ctx context.Context, v *visit, number int64) ([]assistant.Turn, error) {
	waiting, cancel := context.WithTimeout(ctx, precedingTimeout)
	defer cancel()
	for {
		all, err := v.tenant.ChatMessages(ctx, v.session.SessionID, 0)
		if err != nil {
			return nil, err
		}
		waits := slices.ContainsFunc(all, func(m store.ChatMessage) bool {
			return m.Number < number && m.Answer == nil && time.Now().Before(m.AnsweringUntil)
		})
		if waits {
			select {
			case <-time.After(lookEvery):
				continue
			case <-waiting.Done():
			}
		}
		return turnsThrough(all, number), nil
	}
}

// turnsThrough is the conversation as the assistant reads it: what was said
// before the message, and the message.
func turnsThrough(all []store.ChatMessage, number int64) []assistant.Turn {
	var turns []assistant.Turn
	for _, m := range all {
		if m.Number > number {
			break
		}
		turns = append(turns, assistant.Turn{From: "visitor", Text: m.Text})
		if m.Number < number && m.Answer != nil {
			turns = append(turns, assistant.Turn{From: "assistant", Text: m.Answer.Text})
		}
	}
	return turns
}
