package main

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"ingestion.internal/shared/problem"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
)

// acceptance tells a page that its message is safe.
type acceptance struct {
	SessionID      string     `json:"session_id"`
	Number         int64      `json:"number"`
	Text           string     `json:"text,omitempty"` // where the page did not just send it
	At             *time.Time `json:"at,omitempty"`
	Duplicate      bool       `json:"duplicate"`
	Reopened       bool       `json:"reopened"`
	ExpectedNumber int64      `json:"expected_number"`
}

// reply is an answer, on the wire.
type reply struct {
	Text  string `json:"text"`
	By    string `json:"by"`
	State string `json:"state"` // done or pending
}

func replyOf(answer *store.ChatAnswer) reply {
	if answer == nil {
		return reply{By: "assistant", State: "pending"}
	}
	return reply{answer.Text, answer.By, "done"}
}

// answered is the whole answer to a message.
type answered struct {
	acceptance
	Answer reply `json:"answer"`
}

// say handles POST /api/v1/chat/sessions/{id}/messages: 200 with the answer,
// as events where the page asks for them. The message is committed before
// anything of the answer is sent.
func (h *handler) say(w http.ResponseWriter, r *http.Request) error {
	body, err := service.ReadBody(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), acceptTimeout)
	defer cancel()
	accepting := r.WithContext(ctx)
	in, err := parseMessage(body)
	if err != nil {
		return err
	}
	v, err := h.enter(w, accepting)
	if err != nil {
		return err
	}
	said, a, leave, err := h.keep(ctx, v, store.ChatMessage{Number: in.Number, Text: in.Text, Visitor: in.visitor()})
	if err != nil {
		return refusal(err)
	}
	defer leave()
	accepted := acceptance{
		SessionID: v.session.SessionID, Number: in.Number,
		Duplicate: said.Duplicate, Reopened: said.Reopened, ExpectedNumber: said.Session.Last + 1,
	}
	if wantsEvents(r) {
		s := newStream(w, r.Context())
		defer s.end()
		from := lastEvent(r)
		offset := 0
		if from.number == in.Number {
			offset = from.offset
		}
		s.message(accepted, offset == 0, a, offset, v.lets.Streams)
		return nil
	}
	answer, err := a.wait(r.Context())
	if err != nil {
		return problem.Wrap(problem.Unavailable, "the message is safe; send it again for its answer", err)
	}
	service.WriteJSON(w, http.StatusOK, answered{accepted, replyOf(answer)})
	return nil
}

// refusal says to the page what is wrong with its message.
func refusal(err error) error {
	if gap, ok := errors.AsType[*store.GapError](err); ok {
		return problem.With(problem.Conflict, gap.Error(), map[string]any{"expected_number": gap.Expected})
	}
	switch {
	case errors.Is(err, store.ErrNotFound): // the tenant became inactive since
		return unauthorized(err)
	case errors.Is(err, store.ErrOtherMessage):
		return problem.New(problem.Unprocessable, store.ErrOtherMessage.Error())
	case errors.Is(err, store.ErrChatFull):
		return problem.With(problem.Unprocessable, "the conversation is full; begin another one", map[string]any{"full": true})
	}
	return err
}

// message is one of a conversation, on the wire.
type message struct {
	Number int64     `json:"number"`
	Text   string    `json:"text"`
	At     time.Time `json:"at"`
	Answer reply     `json:"answer"`
}

// conversation is what a page gets that begins anew.
type conversation struct {
	SessionID string `json:"session_id"`
	State     string `json:"state"`
	terms
	Messages []message `json:"messages"`
}

// conversation handles GET /api/v1/chat/sessions/{id}/messages: 200 with what
// was said after the message of that number. As events, it ends once each
// message has its answer.
func (h *handler) conversation(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), acceptTimeout)
	defer cancel()
	from := lastEvent(r)
	after, err := afterOf(r)
	if err != nil {
		return err
	}
	if from.number > 0 {
		after = from.number - 1
	}
	v, err := h.enter(w, r.WithContext(ctx))
	if err != nil {
		return err
	}
	said, err := v.tenant.ChatMessages(ctx, v.session.SessionID, after)
	if err != nil {
		return err
	}
	last := v.session.Last
	if n := len(said); n > 0 {
		last = max(last, said[n-1].Number)
	}
	if !wantsEvents(r) {
		all := conversation{SessionID: v.session.SessionID, State: stateOf(v.session), terms: termsOf(v.lets, last), Messages: []message{}}
		for _, m := range said {
			all.Messages = append(all.Messages, message{m.Number, m.Text, m.At.UTC(), replyOf(m.Answer)})
		}
		service.WriteJSON(w, http.StatusOK, all)
		return nil
	}
	s := newStream(w, r.Context())
	defer s.end()
	s.begin()
	for _, m := range said {
		offset, tell := 0, true
		if m.Number == from.number {
			if from.end {
				continue
			}
			offset, tell = from.offset, false
		}
		at := m.At.UTC()
		var a *answering
		leave := func() {}
		if m.Answer != nil {
			a = given(*m.Answer)
		} else {
			a, leave = h.await(r.Context(), v, m)
		}
		heard := s.message(acceptance{SessionID: v.session.SessionID, Number: m.Number, Text: m.Text, At: &at, ExpectedNumber: last + 1}, tell, a, offset, v.lets.Streams)
		leave()
		if !heard {
			break
		}
	}
	return nil
}

func afterOf(r *http.Request) (int64, error) {
	text := r.URL.Query().Get("after")
	if text == "" {
		return 0, nil
	}
	after, err := strconv.ParseInt(text, 10, 64)
	if err != nil || after < 0 {
		return 0, problem.New(problem.BadRequest, "after must be the number of a message, or 0")
	}
	return after, nil
}
