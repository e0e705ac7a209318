// Package load sends messages at a constant rate and measures how long each
// takes to be accepted.
//
// The load is open: each message has its moment, begin + n/rate, and is sent
// then, whether or not those before it were answered. Its latency counts from
// that moment, so a stall is felt by every message that it holds up and not by
// the one that happened to be sent (https://github.com/giltene/wrk2 calls the
// other way coordinated omission).
package load

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Channel makes the messages of one channel.
type Channel struct {
	Name string
	// Message returns the n-th message of a run, n from 0. It is called just
	// before the message is sent: signatures hold for a while only.
	Message func(n int) (Message, error)
	// Before makes what the messages need, Between what makes requests of those
	// that were sent. Neither is measured; nil for nothing.
	Before, Between func(ctx context.Context, total int) error
}

// Total is how many messages a run has.
func (o Options) Total() int { return int(math.Round(float64(o.Rate) * o.For.Seconds())) }

// Message is one request, and the id of the platform's request that it makes.
type Message struct {
	URL       string
	Header    http.Header
	Body      []byte
	RequestID string
}

// Options say how much is sent, and for how long an answer is waited.
type Options struct {
	Rate    int // messages a second
	For     time.Duration
	Timeout time.Duration
}

// Result is what a run measured. Times are in milliseconds.
type Result struct {
	Channel  string         `json:"channel"`
	Sent     int            `json:"sent"`
	Accepted int            `json:"accepted"` // answered 2xx or 303
	Rate     float64        `json:"rate"`     // messages sent a second
	Statuses map[string]int `json:"statuses"` // answers by status
	Errors   map[string]int `json:"errors"`   // messages without an answer, by the reason
	Latency  Latency        `json:"latency"`  // of what was accepted
	// Behind is by how much the latest of all messages was sent after its
	// moment: what is not small says that this machine could not keep the rate.
	Behind float64 `json:"behind"`

	AcceptedIDs []string `json:"-"`
	UnknownIDs  []string `json:"-"` // of messages without an answer or with a 5xx, which may be recorded all the same
}

// Latency is a distribution.
type Latency struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Progress counts while a run goes on.
type Progress struct{ Total, Sent, Accepted, Refused int }

// outcome is what became of one message.
type outcome struct {
	requestID    string
	status       int // 0 = no answer
	err          error
	took, behind time.Duration
}

// Run sends the channel's messages. tell is called a few times a second. When
// ctx ends, no more is sent, what is on its way is given up, and the result is
// that of what was sent, with ctx's error.
func Run(ctx context.Context, c Channel, o Options, tell func(Progress)) (Result, error) {
	transport := &http.Transport{
		DialContext:  (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		MaxIdleConns: 0, MaxIdleConnsPerHost: 4096,
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{
		Transport: transport, Timeout: o.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	total := o.Total()
	outcomes := make([]outcome, total)
	var sent, accepted, refused atomic.Int64
	stop := every(250*time.Millisecond, func() {
		tell(Progress{total, int(sent.Load()), int(accepted.Load()), int(refused.Load())})
	})
	defer stop()

	var flying sync.WaitGroup
	var broken error
	begin := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
send:
	for n := range total {
		due := begin.Add(time.Duration(n) * time.Second / time.Duration(o.Rate))
		timer.Reset(time.Until(due))
		select {
		case <-ctx.Done():
			break send
		case <-timer.C:
		}
		m, err := c.Message(n)
		if err != nil {
			broken = fmt.Errorf("message %d of %s: %w", n, c.Name, err)
			break
		}
		sent.Add(1)
		flying.Go(func() {
			out := &outcomes[n]
			out.requestID, out.behind = m.RequestID, time.Since(due)
			out.status, out.err = post(ctx, client, m)
			out.took = time.Since(due)
			if isAccepted(out.status) {
				accepted.Add(1)
			} else {
				refused.Add(1)
			}
		})
	}
	lasted := time.Since(begin)
	flying.Wait()
	result := sum(c.Name, outcomes[:sent.Load()])
	if lasted > 0 {
		result.Rate = round(float64(result.Sent) / max(lasted, time.Second/time.Duration(o.Rate)).Seconds())
	}
	return result, cmp.Or(broken, ctx.Err())
}

// every calls f until the returned function is called, and at the end.
func every(interval time.Duration, f func()) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				f()
			case <-done:
				f()
				return
			}
		}
	}()
	return func() { close(done); <-ended }
}

func post(ctx context.Context, client *http.Client, m Message) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL, bytes.NewReader(m.Body))
	if err != nil {
		return 0, err
	}
	req.Header = m.Header
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

func isAccepted(status int) bool {
	return status >= 200 && status < 300 || status == http.StatusSeeOther
}

func sum(channel string, outcomes []outcome) Result {
	r := Result{Channel: channel, Sent: len(outcomes), Statuses: map[string]int{}, Errors: map[string]int{}}
	var took []time.Duration
	for _, o := range outcomes {
		r.Behind = max(r.Behind, milliseconds(o.behind))
		switch {
		case o.err != nil:
			r.Errors[reason(o.err)]++
			r.UnknownIDs = append(r.UnknownIDs, o.requestID)
			continue
		case isAccepted(o.status):
			r.Accepted++
			r.AcceptedIDs = append(r.AcceptedIDs, o.requestID)
			took = append(took, o.took)
		case o.status >= http.StatusInternalServerError:
			r.UnknownIDs = append(r.UnknownIDs, o.requestID)
		}
		r.Statuses[strconv.Itoa(o.status)]++
	}
	slices.Sort(took)
	r.Latency = Latency{
		P50: milliseconds(quantile(took, 0.5)), P90: milliseconds(quantile(took, 0.9)),
		P99: milliseconds(quantile(took, 0.99)), Max: milliseconds(quantile(took, 1)),
	}
	return r
}

// quantile returns the smallest of the sorted durations that the share q of
// them does not exceed; 0 of none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

// reason is why there was no answer, in few words of which there are few.
func reason(err error) string {
	var timeout interface{ Timeout() bool }
	var op *net.OpError
	switch {
	case errors.Is(err, context.Canceled):
		return "given up"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.As(err, &op) && op.Op == "dial":
		return "no connection"
	}
	return "connection broken"
}

func milliseconds(d time.Duration) float64 { return round(float64(d) / float64(time.Millisecond)) }

func round(f float64) float64 { return math.Round(f*10) / 10 }

// Check is what the database says of a run.
type Check struct {
	Found   int `json:"found"`   // accepted messages that are in the database
	Missing int `json:"missing"` // and that are not
	// Unanswered are recorded though nobody was told so. That is no mistake:
	// the sender tries again and learns that it is known.
	Unanswered int `json:"unanswered"`
	// Extra are requests that no message explains: one that became two.
	Extra int `json:"extra"`
}

// Compare holds the run's messages against the requests that the database has
// of its time. Each message makes one request of its own, so an accepted one is
// there exactly once if Missing and Extra are 0.
func (r Result) Compare(stored []string) Check {
	var c Check
	left := map[string]int{}
	for _, id := range stored {
		left[id]++
	}
	take := func(ids []string) (n int) {
		for _, id := range ids {
			if left[id] > 0 {
				left[id]--
				n++
			}
		}
		return n
	}
	c.Found = take(r.AcceptedIDs)
	c.Missing = len(r.AcceptedIDs) - c.Found
	c.Unanswered = take(r.UnknownIDs)
	c.Extra = len(stored) - c.Found - c.Unanswered
	return c
}
