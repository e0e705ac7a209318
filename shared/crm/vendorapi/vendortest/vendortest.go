// Package vendortest plays a vendor in tests: a server that gives prepared
// answers in order and keeps what it was asked.
package vendortest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
)

// Answer is one prepared answer.
type Answer struct {
	Status int // 0 = 200
	Header map[string]string
	Body   string
}

// Request is what the server was asked.
type Request struct {
	Method string
	Path   string // escaped, with the query
	Header http.Header
	Body   string
}

// Server gives each answer once.
type Server struct {
	URL string

	tb       testing.TB
	mu       sync.Mutex
	answers  []Answer
	requests []Request
}

// New starts a server that ends with the test. The test fails if it is asked
// more or less often than there are answers.
func New(tb testing.TB, answers ...Answer) *Server {
	tb.Helper()
	s := &Server{tb: tb, answers: answers}
	srv := httptest.NewServer(s)
	tb.Cleanup(func() {
		srv.Close()
		if left := len(s.answers); left > 0 {
			tb.Errorf("%d prepared answers were not asked for", left)
		}
	})
	s.URL = srv.URL
	return s
}

// ServeHTTP gives the next answer.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.tb.Errorf("reading %s %s: %v", r.Method, r.URL, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, Request{Method: r.Method, Path: r.URL.RequestURI(), Header: r.Header, Body: string(body)})
	if len(s.answers) == 0 {
		s.tb.Errorf("no answer is prepared for %s %s", r.Method, r.URL)
		http.Error(w, "no answer is prepared", http.StatusTeapot)
		return
	}
	a := s.answers[0]
	s.answers = s.answers[1:]
	for name, value := range a.Header {
		w.Header().Set(name, value)
	}
	if a.Status != 0 {
		w.WriteHeader(a.Status)
	}
	if _, err := io.WriteString(w, a.Body); err != nil {
		s.tb.Errorf("answering %s %s: %v", r.Method, r.URL, err)
	}
}

// Requests returns what was asked so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}
