package main

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"ingestion.internal/shared/problem"
)

// idle is after how long without a word the stream says that it lives, so that
// nothing between takes it for dead.
const idle = 5 * time.Second

// writeTimeout bounds one write. A page that does not read what it asked for
// holds its connection no longer.
const writeTimeout = 10 * time.Second

// wantsEvents tells whether the page asks for server-sent events.
// https://html.spec.whatwg.org/multipage/server-sent-events.html
func wantsEvents(r *http.Request) bool {
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		if media, _, err := mime.ParseMediaType(part); err == nil && media == "text/event-stream" {
			return true
		}
	}
	return false
}

// place is where a page stopped to hear: the id of its last event, N.OFFSET or
// N.end.
type place struct {
	number int64
	offset int // in bytes of the answer
	end    bool
}

// lastEvent reads the header Last-Event-ID. One that is of no event is none.
func lastEvent(r *http.Request) place {
	number, offset, ok := strings.Cut(r.Header.Get("Last-Event-ID"), ".")
	n, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil || n < 1 {
		return place{}
	}
	if offset == "end" {
		return place{number: n, offset: 1 << 30, end: true}
	}
	at, err := strconv.Atoi(offset)
	if err != nil || at < 0 {
		return place{}
	}
	return place{number: n, offset: at}
}

// stream writes server-sent events. Once the page has gone it writes no more.
type stream struct {
	w     http.ResponseWriter
	out   *http.ResponseController
	ctx   context.Context //nolint:containedctx // the request's, for as long as the stream lives
	begun bool
	gone  bool
}

func newStream(w http.ResponseWriter, ctx context.Context) *stream { //nolint:revive // the writer is the subject
	return &stream{w: w, out: http.NewResponseController(w), ctx: ctx}
}

func (s *stream) begin() {
	if s.begun {
		return
	}
	s.begun = true
	s.w.Header().Set("Content-Type", "text/event-stream")
	s.w.Header().Set("Cache-Control", "no-store")
	s.w.Header().Set("X-Accel-Buffering", "no") // for proxies that would collect it first
	s.limit()
	s.w.WriteHeader(http.StatusOK)
	s.flush()
}

// end leaves the connection as it was, for the page's next request on it.
func (s *stream) end() {
	if s.begun && !s.gone {
		_ = s.out.SetWriteDeadline(time.Time{}) // what cannot be reset is closed by the server
	}
}

// limit gives the next write its time.
func (s *stream) limit() {
	if err := s.out.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		s.gone = true
	}
}

func (s *stream) flush() {
	if err := s.out.Flush(); err != nil {
		s.gone = true
	}
}

func (s *stream) write(text string) {
	s.begin()
	if s.gone {
		return
	}
	s.limit()
	if _, err := s.w.Write([]byte(text)); err != nil {
		s.gone = true
		return
	}
	s.flush()
}

func (s *stream) event(id, name string, data any) {
	text, err := json.Marshal(data) // has no line breaks
	if err != nil {
		s.gone = true
		return
	}
	if id != "" {
		id = "id: " + id + "\n"
	}
	s.write(fmt.Sprintf("%sevent: %s\ndata: %s\n\n", id, name, text))
}

// message tells of a message and then of its answer from the offset on, as it
// is made. It returns false if the page has gone or the answer cannot be had.
func (s *stream) message(accepted acceptance, tell bool, a *answering, offset int, streams bool) bool {
	n := accepted.Number
	if tell {
		s.event(fmt.Sprintf("%d.0", n), "accepted", accepted)
	}
	for !s.gone {
		h := a.from(offset)
		if h.piece != "" && (streams || h.over) {
			offset = h.offset
			s.event(fmt.Sprintf("%d.%d", n, offset), "delta", map[string]any{"number": n, "text": h.piece})
		}
		switch {
		case h.over && h.err != nil:
			document, _ := problem.DocumentOf(problem.Wrap(problem.Unavailable, "the message is safe; send it again for its answer", h.err))
			s.event("", "problem", document)
			return false
		case h.over:
			s.event(fmt.Sprintf("%d.end", n), "done", map[string]any{"number": n, "answer": replyOf(h.result)})
			return !s.gone
		}
		select {
		case <-h.changed:
		case <-time.After(idle):
			s.write(": wait\n\n")
		case <-s.ctx.Done():
			s.gone = true
		}
	}
	return false
}
