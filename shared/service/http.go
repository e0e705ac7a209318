package service

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"ingestion.internal/shared/logging"
	"ingestion.internal/shared/problem"
	"ingestion.internal/shared/telemetry"
)

// Handler is an HTTP handler that may fail. Its error is answered as a problem
// document; one that is the platform's own fault is logged whole.
type Handler func(w http.ResponseWriter, r *http.Request) error

// ServeHTTP makes a Handler an http.Handler.
func (h Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := h(w, r)
	if err == nil {
		return
	}
	level, event := slog.LevelInfo, telemetry.RequestRefused
	kind := problem.KindOf(err)
	if kind.Status() >= http.StatusInternalServerError {
		level, event = slog.LevelError, telemetry.RequestFailed
	}
	slog.LogAttrs(r.Context(), level, "request not served",
		slog.String(telemetry.Event, event), slog.String(telemetry.Reason, kind.Error()), slog.Any("error", err))
	problem.Write(w, err)
}

// WriteJSON answers with the value.
func WriteJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// A failure to write means that the caller has gone.
	_ = json.NewEncoder(w).Encode(value)
}

// RequireJSON is a middleware that answers 415 to a body that is not declared
// to be JSON.
func RequireJSON(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || mediaType != "application/json" {
			problem.Write(w, problem.New(problem.UnsupportedMedia, "send application/json"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func alive(w http.ResponseWriter, _ *http.Request) {
	WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

func (s *Service) ready(w http.ResponseWriter, r *http.Request) {
	if err := s.readiness(r.Context()); err != nil {
		slog.WarnContext(r.Context(), "not ready", slog.Any("error", err))
		problem.Write(w, problem.Wrap(problem.Unavailable, "", err))
		return
	}
	alive(w, r)
}

func (s *Service) readiness(ctx context.Context) error {
	s.readyMu.Lock()
	defer s.readyMu.Unlock()
	if time.Since(s.readyAt) < readyCacheTime {
		return s.readyErr
	}
	// The result is kept for others, so this caller's leaving must not spoil it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
	defer cancel()
	errs := make([]error, len(s.checks))
	var group errgroup.Group
	for i, c := range s.checks {
		group.Go(func() error {
			if err := c.run(ctx); err != nil {
				errs[i] = fmt.Errorf("%s: %w", c.name, err)
			}
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs, all of them
	s.readyErr, s.readyAt = errors.Join(errs...), time.Now()
	return s.readyErr
}

// withTrace gives the request an id and its log lines the caller's trace.
func (s *Service) withTrace(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		trace, span := traceOf(r.Header)
		if trace == "" {
			trace = strings.ReplaceAll(uuid.NewString(), "-", "")
		}
		w.Header().Set("X-Request-Id", trace)
		next.ServeHTTP(w, r.WithContext(logging.WithTrace(r.Context(), trace, span)))
	})
}

// traceOf reads the trace context that Google's front end or another service
// sent: traceparent (W3C) or X-Cloud-Trace-Context (TRACE/SPAN;o=1, the span
// in decimal). Anything else than their exact form is ignored.
func traceOf(h http.Header) (trace, span string) {
	if parts := strings.Split(h.Get("traceparent"), "-"); len(parts) >= 4 && isHex(parts[1], 32) && isHex(parts[2], 16) {
		return parts[1], parts[2]
	}
	head, _, _ := strings.Cut(h.Get("X-Cloud-Trace-Context"), ";")
	trace, decimal, _ := strings.Cut(head, "/")
	if !isHex(trace, 32) {
		return "", ""
	}
	if n, err := strconv.ParseUint(decimal, 10, 64); err == nil {
		span = fmt.Sprintf("%016x", n)
	}
	return strings.ToLower(trace), span
}

func isHex(s string, digits int) bool {
	if len(s) != digits {
		return false
	}
	_, err := hex.DecodeString(s)
	return err == nil
}

// logRequests writes one line for each request but the probes.
func (s *Service) logRequests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		next.ServeHTTP(ww, r)
		switch r.URL.Path {
		case "/healthz", "/readyz", "/health":
			return
		}
		status := ww.Status()
		if status == 0 {
			status = http.StatusOK
		}
		level, outcome := slog.LevelInfo, telemetry.OK
		switch {
		case status >= http.StatusInternalServerError:
			level, outcome = slog.LevelWarn, telemetry.Failed // the cause has a line of its own
		case status >= http.StatusBadRequest:
			outcome = telemetry.Refused
		}
		took := time.Since(start).Seconds()
		// The query is left out: CallRail mirrors the caller's data into it.
		s.log.LogAttrs(r.Context(), level, r.Method+" "+r.URL.Path,
			slog.String(telemetry.Event, telemetry.HTTPServed),
			slog.String(telemetry.Outcome, outcome),
			slog.Float64(telemetry.Seconds, took),
			slog.Group("httpRequest",
				slog.String("requestMethod", r.Method),
				slog.String("requestUrl", r.URL.Path),
				slog.Int("status", status),
				slog.String("latency", fmt.Sprintf("%.6fs", took)),
				slog.String("responseSize", strconv.Itoa(ww.BytesWritten())),
				slog.String("userAgent", r.UserAgent()),
				slog.String("protocol", r.Proto),
			))
	})
}

func (s *Service) recoverPanics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch v := recover(); v {
			case nil:
			case http.ErrAbortHandler: // a panic's value, compared as net/http does
				panic(v)
			default:
				slog.ErrorContext(r.Context(), "panic", slog.String(telemetry.Event, telemetry.ServicePanic), slog.Any("error", v), slog.String("stack_trace", string(debug.Stack())))
				problem.Write(w, problem.Internal)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// limitBody bounds the body; a longer one ends reading with an error that
// package problem answers 413. A declared length is refused before a byte of
// it is read.
func (s *Service) limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > s.maxBody {
			problem.Write(w, problem.New(problem.TooLarge, fmt.Sprintf("at most %d bytes are accepted", s.maxBody)))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, s.maxBody)
		next.ServeHTTP(w, r)
	})
}

// ReadBody reads the whole body. Its errors are the caller's: a body over the
// limit or one that ends early.
func ReadBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, problem.Wrap(problem.TooLarge, fmt.Sprintf("at most %d bytes are accepted", tooLarge.Limit), err)
	case err != nil:
		return nil, problem.Wrap(problem.BadRequest, "the body ended early", err)
	}
	return body, nil
}
