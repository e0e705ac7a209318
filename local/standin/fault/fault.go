// Package fault makes a stand-in misbehave on purpose: answer with an error,
// keep its caller waiting, before its answer or in the middle of it, refuse by rate, or answer with nonsense, for the
// next N requests or until it is told to stop. It is set from Go or over a
// small JSON API, and takes effect in a middleware before the stand-in sees
// the request.
package fault

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Mode is a way to misbehave. The values are those of the local cloud's admin
// API.
type Mode string

// The modes.
const (
	Fail      Mode = "fail"       // answer with Fault.Status
	RateLimit Mode = "rate-limit" // answer 429
	Stall     Mode = "stall"      // do not answer until cleared, Fault.For has passed or the caller left
	// StallMidway begins an answer and then says no more, as Stall. What is
	// written at once, and not bit by bit, is not touched.
	StallMidway Mode = "stall-midway"
	Nonsense    Mode = "nonsense" // answer 200 with a body that is nothing the caller asked for
)

// Modes lists every mode.
var Modes = []Mode{Fail, RateLimit, Stall, StallMidway, Nonsense}

// Fault is one way of going wrong, and how often.
type Fault struct {
	Mode   Mode          `json:"mode"`
	Count  int           `json:"count,omitempty"`  // requests it hits; 0 = every one until cleared
	Status int           `json:"status,omitempty"` // of Fail: 400-599; 0 = 503
	For    time.Duration `json:"-"`                // of Stall: then the request goes on; 0 = until cleared
	Path   string        `json:"path,omitempty"`   // hit only requests whose URL path contains it; empty = all
}

// wireFault is Fault in the JSON API, with For as a Go duration.
type wireFault struct {
	Fault
	For string `json:"for,omitempty"`
}

func (f Fault) validate() error {
	if !slices.Contains(Modes, f.Mode) {
		return fmt.Errorf("mode %q is none of %q", f.Mode, Modes)
	}
	if f.Count < 0 {
		return fmt.Errorf("count %d is negative", f.Count)
	}
	if f.Status != 0 && (f.Mode != Fail || f.Status < 400 || f.Status > 599) {
		return fmt.Errorf("status %d: only mode fail takes one, between 400 and 599", f.Status)
	}
	if f.For < 0 || f.For > 0 && f.Mode != Stall && f.Mode != StallMidway {
		return fmt.Errorf("for %s: only mode stall takes a duration, and a positive one", f.For)
	}
	return nil
}

// Shape is how a stand-in's API looks when it fails.
type Shape struct {
	// Error writes the API's error answer with the status.
	Error func(w http.ResponseWriter, status int, message string)
	// Nonsense writes an answer of Mode Nonsense; nil writes broken JSON.
	Nonsense func(w http.ResponseWriter, r *http.Request)
	// NoRetryAfter leaves the header Retry-After out of a 429, as some APIs do.
	NoRetryAfter bool
}

// Injector holds the fault of one stand-in. Its methods may be called at the
// same time.
type Injector struct {
	shape Shape

	mu      sync.Mutex
	fault   Fault
	left    int           // requests it still hits, if fault.Count > 0
	set     bool          //
	changed chan struct{} // closed when fault is set or cleared: lets stalled requests go
}

// New returns an injector without a fault.
func New(shape Shape) *Injector {
	return &Injector{shape: shape, changed: make(chan struct{})}
}

// Set replaces the fault.
func (i *Injector) Set(f Fault) error {
	if err := f.validate(); err != nil {
		return fmt.Errorf("fault: %w", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.release()
	i.fault, i.left, i.set = f, f.Count, true
	return nil
}

// Clear ends the fault. Requests that it stalls go on.
func (i *Injector) Clear() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.release()
	i.set = false
}

func (i *Injector) release() {
	close(i.changed)
	i.changed = make(chan struct{})
}

// Current returns the fault with the count that is left, or false if there is
// none.
func (i *Injector) Current() (Fault, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f := i.fault
	f.Count = i.left
	return f, i.set
}

// take uses the fault for one request.
func (i *Injector) take(path string) (Fault, <-chan struct{}, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.set || !strings.Contains(path, i.fault.Path) {
		return Fault{}, nil, false
	}
	if i.fault.Count > 0 {
		i.left--
		i.set = i.left > 0
	}
	return i.fault, i.changed, true
}

// maxStalledBody bounds the body that is kept while a request is stalled.
const maxStalledBody = 64 << 20

// Middleware lets the fault act on requests to next.
func (i *Injector) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, changed, ok := i.take(r.URL.Path)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		switch f.Mode {
		case Fail:
			status := f.Status
			if status == 0 {
				status = http.StatusServiceUnavailable
			}
			i.shape.Error(w, status, "the stand-in was told to fail")
		case RateLimit:
			if !i.shape.NoRetryAfter {
				w.Header().Set("Retry-After", strconv.Itoa(retryAfterSeconds))
			}
			i.shape.Error(w, http.StatusTooManyRequests, "the stand-in was told to refuse by rate")
		case Nonsense:
			if i.shape.Nonsense != nil {
				i.shape.Nonsense(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"colorless":["green","ideas"],"sleep":{"furiously":`)
		case StallMidway:
			next.ServeHTTP(&midway{ResponseWriter: w, wait: func() { hold(r, f.For, changed) }}, r)
		case Stall:
			// The server notices that a caller has left only once the body
			// is read to its end.
			body, err := io.ReadAll(io.LimitReader(r.Body, maxStalledBody))
			if err != nil {
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			if hold(r, f.For, changed) {
				next.ServeHTTP(w, r)
			}
		}
	})
}

// hold returns true when the time has passed or the fault is over, and false
// when the caller has left.
func hold(r *http.Request, length time.Duration, changed <-chan struct{}) bool {
	var timeout <-chan time.Time
	if length > 0 {
		timer := time.NewTimer(length)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-r.Context().Done():
		return false
	case <-timeout:
	case <-changed:
	}
	return true
}

// midway lets the first write through, and has the second wait.
type midway struct {
	http.ResponseWriter
	wait   func()
	writes int
}

// Write implements http.ResponseWriter.
func (m *midway) Write(b []byte) (int, error) {
	if m.writes++; m.writes == 2 {
		m.wait()
	}
	return m.ResponseWriter.Write(b)
}

// Unwrap lets a http.ResponseController flush.
func (m *midway) Unwrap() http.ResponseWriter { return m.ResponseWriter }

// retryAfterSeconds is what a rate-limited caller is told to wait.
const retryAfterSeconds = 1

// ServeHTTP is the JSON API: GET answers the fault or null, PUT sets it from
// {"mode":"fail","count":2,"status":500}, {"mode":"stall","for":"3s"}, DELETE
// clears it.
func (i *Injector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
	case http.MethodDelete:
		i.Clear()
	case http.MethodPut:
		var in wireFault
		dec := json.NewDecoder(io.LimitReader(r.Body, 1<<16))
		dec.DisallowUnknownFields()
		err := dec.Decode(&in)
		if err == nil && in.For != "" {
			in.Fault.For, err = time.ParseDuration(in.For)
		}
		if err == nil {
			err = i.Set(in.Fault)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	default:
		w.Header().Set("Allow", "GET, PUT, DELETE")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	var out *wireFault
	if f, ok := i.Current(); ok {
		out = &wireFault{Fault: f}
		if f.For > 0 {
			out.For = f.For.String()
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out)
}
