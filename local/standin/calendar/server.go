// Package calendar is a small Google Calendar: the Calendar API v3 as far as the
// platform uses it, which package calendartest serves and describes, with the
// callers' identity, faults, and a way to put events into calendars as their
// owners would. A change is told to the calendar's channels at once.
//
// Served paths beside the API's:
//
//	GET    /_admin/calendars/{calendar}/events/{event}   the event
//	PUT    /_admin/calendars/{calendar}/events/{event}   creates or changes it: some of its fields.
//	                                                     With ?untold=true the notifications are lost.
//	DELETE /_admin/calendars/{calendar}/events/{event}   deletes it
//	GET    /_admin/channels                              the open channels and what was sent
//	GET, PUT, DELETE /faults                             see package fault
package calendar

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"ingestion.internal/local/cloud"
	"ingestion.internal/local/standin/fault"
	"ingestion.internal/local/standin/internal/gapi"
	"ingestion.internal/shared/calendar/calendartest"
)

const maxEvent = 1 << 20

// Config is what a Server needs.
type Config struct {
	Identity cloud.Identity
	// Shared tells whether calendars are shared with a principal; nil = with all.
	Shared func(principal string) bool
}

// Server is the stand-in. Its methods may be called at the same time.
type Server struct {
	Faults *fault.Injector
	API    *calendartest.Server

	handler http.Handler
}

// New returns a server without events.
func New(cfg Config) *Server {
	s := &Server{API: calendartest.New()}
	s.API.Authorize = func(r *http.Request, _ string) error {
		principal, err := cfg.Identity.Caller(r)
		if err != nil {
			return fmt.Errorf("%w: %w", calendartest.ErrUnauthenticated, err)
		}
		if cfg.Shared != nil && !cfg.Shared(principal) {
			return errors.New("not found")
		}
		return nil
	}
	s.Faults = fault.New(fault.Shape{Error: calendartest.Refuse, Nonsense: func(w http.ResponseWriter, _ *http.Request) {
		gapi.WriteJSON(w, http.StatusOK, map[string]any{"items": []any{map[string]any{"id": "nonsense"}}})
	}})
	mux := http.NewServeMux()
	mux.Handle("/", s.Faults.Middleware(s.API))
	mux.Handle("/faults", s.Faults)
	mux.HandleFunc("GET /_admin/channels", func(w http.ResponseWriter, _ *http.Request) {
		gapi.WriteJSON(w, http.StatusOK, map[string]any{"channels": s.API.Channels(), "sent": s.API.Sent()})
	})
	mux.HandleFunc("GET /_admin/calendars/{calendar}/events/{event}", func(w http.ResponseWriter, r *http.Request) {
		if e := s.API.Event(r.PathValue("calendar"), r.PathValue("event")); e != nil {
			gapi.WriteJSON(w, http.StatusOK, e)
			return
		}
		gapi.WriteStatus(w, http.StatusNotFound, "there is no such event")
	})
	mux.HandleFunc("PUT /_admin/calendars/{calendar}/events/{event}", func(w http.ResponseWriter, r *http.Request) {
		changes, err := io.ReadAll(io.LimitReader(r.Body, maxEvent))
		if err != nil {
			gapi.WriteStatus(w, http.StatusBadRequest, err.Error())
			return
		}
		put := s.API.Put
		if r.URL.Query().Get("untold") == "true" {
			put = s.API.PutUntold
		}
		e, err := put(r.PathValue("calendar"), r.PathValue("event"), changes)
		if err != nil {
			gapi.WriteStatus(w, http.StatusBadRequest, err.Error())
			return
		}
		gapi.WriteJSON(w, http.StatusOK, e)
	})
	mux.HandleFunc("DELETE /_admin/calendars/{calendar}/events/{event}", func(w http.ResponseWriter, r *http.Request) {
		if err := s.API.Cancel(r.PathValue("calendar"), r.PathValue("event")); err != nil {
			gapi.WriteStatus(w, http.StatusNotFound, err.Error())
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	s.handler = mux
	return s
}

// ServeHTTP serves the API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }
