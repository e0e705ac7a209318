package load

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func channel(url string) Channel {
	return Channel{Name: "test", Message: func(n int) (Message, error) {
		return Message{URL: url, Header: http.Header{"N": {strconv.Itoa(n)}}, Body: []byte("{}"), RequestID: fmt.Sprintf("r%d", n)}, nil
	}}
}

// A server that answers nothing until the last message is there stops a sender
// that waits for its answers, and not this one.
func TestLoadIsOpen(t *testing.T) {
	t.Parallel()
	const messages = 100
	var arrived sync.WaitGroup
	arrived.Add(messages)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived.Done()
		arrived.Wait()
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	var last Progress
	r, err := Run(t.Context(), channel(server.URL), Options{Rate: 1000, For: messages * time.Millisecond, Timeout: time.Minute}, func(p Progress) { last = p })
	if err != nil || r.Sent != messages || r.Accepted != messages || len(r.Errors) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	// The first waited for all the others, and that counts.
	if l := r.Latency; l.Max < l.P99 || l.P99 < l.P50 || l.P50 <= 0 {
		t.Errorf("latency %+v", l)
	}
	if want := (Progress{messages, messages, messages, 0}); last != want {
		t.Errorf("progress %+v, want %+v", last, want)
	}
}

func TestAnswersAreCounted(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("N") {
		case "0":
			panic(http.ErrAbortHandler)
		case "1":
			w.WriteHeader(http.StatusTooManyRequests)
		case "5":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "2":
			http.Redirect(w, r, "/thanks", http.StatusSeeOther)
		default:
			w.WriteHeader(http.StatusAccepted)
		}
	}))
	defer server.Close()
	r, err := Run(t.Context(), channel(server.URL), Options{Rate: 1000, For: 6 * time.Millisecond, Timeout: time.Minute}, func(Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]int{"202": 2, "303": 1, "429": 1, "503": 1}, r.Statuses); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]int{"connection broken": 1}, r.Errors); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([][]string{{"r2", "r3", "r4"}, {"r0", "r5"}}, [][]string{r.AcceptedIDs, r.UnknownIDs}); d != "" {
		t.Error(d)
	}
	for name, tt := range map[string]struct {
		stored []string
		want   Check
	}{
		"as_answered": {[]string{"r4", "r2", "r3"}, Check{Found: 3}},
		"unanswered":  {[]string{"r0", "r2", "r3", "r4"}, Check{Found: 3, Unanswered: 1}},
		"lost":        {[]string{"r2", "r3"}, Check{Found: 2, Missing: 1}},
		"twice":       {[]string{"r2", "r3", "r4", "other"}, Check{Found: 3, Extra: 1}},
	} {
		if got := r.Compare(tt.stored); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

// An interrupted run tells of what it sent.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var served atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if served.Add(1) == 10 {
			cancel()
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	r, err := Run(ctx, channel(server.URL), Options{Rate: 1000, For: time.Hour, Timeout: time.Minute}, func(Progress) {})
	if err == nil || r.Sent < 10 || r.Sent != r.Accepted+r.Errors["given up"] {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestMessageThatCannotBeMade(t *testing.T) {
	t.Parallel()
	c := Channel{Name: "broken", Message: func(int) (Message, error) { return Message{}, http.ErrNoLocation }}
	if r, err := Run(t.Context(), c, Options{Rate: 10, For: time.Second, Timeout: time.Second}, func(Progress) {}); err == nil || r.Sent != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1))
	}
	for q, want := range map[float64]time.Duration{0.5: 50, 0.99: 99, 1: 100, 0: 1} {
		if got := quantile(hundred, q); got != want {
			t.Errorf("%v of 1..100: %d, want %d", q, got, want)
		}
	}
	if got := quantile(slices.Clone(hundred[:1]), 0.99); got != 1 {
		t.Errorf("of one: %d", got)
	}
	if got := quantile(nil, 0.5); got != 0 {
		t.Errorf("of none: %d", got)
	}
}
