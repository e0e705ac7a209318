package main

import (
	"context"
	"encoding/json"
	"net/http"

	"golang.org/x/sync/errgroup"

	"ingestion.internal/local/internal/load"
	"ingestion.internal/local/internal/sample"
	"ingestion.internal/shared/chat"
)

// chatsAtOnce bounds the conversations that are opened and closed side by side.
const chatsAtOnce = 8

// loadChats are conversations of one message each: what is measured is that a
// message is taken in. They are opened before and closed after, because only a
// conversation that is over is a request.
type loadChats struct {
	loadSender
	conversations []*conversation
}

func (l *loadChats) open(ctx context.Context, total int) error {
	l.conversations = make([]*conversation, total)
	return l.each(ctx, func(ctx context.Context, n int) error {
		c := &conversation{URL: l.chatURL}
		l.conversations[n] = c
		return c.exchange(ctx, http.MethodPost, "/api/v1/chat/sessions", map[string]any{
			"tenant_id": l.tenant, "office_id": l.office.OfficeID, "name": sample.Enquiry.Name, "phone": l.phone(n),
		}, c)
	})
}

func (l *loadChats) message(n int) (load.Message, error) {
	c := l.conversations[n]
	body, err := json.Marshal(map[string]any{"number": 1, "text": sample.Enquiry.Message})
	return load.Message{
		URL: c.URL + "/api/v1/chat/sessions/" + c.SessionID + "/messages", Body: body,
		Header:    http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}, "Chat-Token": {c.Token}},
		RequestID: chat.RequestID(l.tenant, c.SessionID),
	}, err
}

func (l *loadChats) close(ctx context.Context, _ int) error {
	return l.each(ctx, func(ctx context.Context, n int) error {
		c := l.conversations[n]
		var closed struct{}
		return c.exchange(ctx, http.MethodPost, "/api/v1/chat/sessions/"+c.SessionID+"/close", map[string]any{}, &closed)
	})
}

// each does something for every conversation, some of them side by side.
func (l *loadChats) each(ctx context.Context, do func(ctx context.Context, n int) error) error {
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(chatsAtOnce)
	for n := range l.conversations {
		all.Go(func() error { return do(ctx, n) })
	}
	return all.Wait()
}
