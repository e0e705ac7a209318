package vendorapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestParseRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		" 30 ":                          30 * time.Second,
		"-1":                            0,
		"1.5":                           0,
		"soon":                          0,
		"86401":                         24 * time.Hour,
		"99999999999999999999":          0,
		"Sun, 22 Nov 2026 12:01:30 GMT": 90 * time.Second,
		"Sun, 22 Nov 2026 11:00:00 GMT": 0,
		"Sun, 22 Nov 2037 11:00:00 GMT": 24 * time.Hour,
	} {
		if got := ParseRetryAfter(value, now); got != want {
			t.Errorf("ParseRetryAfter(%q) = %v, want %v", value, got, want)
		}
	}
}

func TestStatusKind(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]Kind{
		300: Permanent, 302: Permanent, 400: Permanent, 401: Credentials, 403: Credentials, 404: Permanent, 408: Retryable,
		409: Conflict, 422: Permanent, 425: Retryable, 429: Retryable, 500: Retryable, 503: Retryable, 599: Retryable,
	} {
		if got := StatusKind(status); got != want {
			t.Errorf("StatusKind(%d) = %v, want %v", status, got, want)
		}
	}
}

func TestErrorText(t *testing.T) {
	t.Parallel()
	cause := errors.New("eof")
	full := &Error{Vendor: "hubspot", Op: "upsert contacts", Kind: Retryable, Status: 429, Reason: "slow down", RetryAfter: 10 * time.Second, Err: cause}
	if got, want := full.Error(), "hubspot: upsert contacts: HTTP 429: slow down: eof (retryable, retry after 10s)"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
	wrapped := fmt.Errorf("lead 1: %w", full)
	if !errors.Is(wrapped, cause) || KindOf(wrapped) != Retryable || RetryAfter(wrapped) != 10*time.Second {
		t.Errorf("%v lost its kind, its wait or its cause", wrapped)
	}
	if KindOf(cause) != Retryable || RetryAfter(cause) != 0 {
		t.Error("an unmarked error is not simply retryable")
	}
	for kind, want := range map[Kind]string{Credentials: "credentials", Permanent: "permanent", Conflict: "conflict", Kind(9): "Kind(9)"} {
		if got := kind.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                           "",
		" a\r\n\tb\x00c\u0085d ":     "a b c d",
		"bad\xffutf8":                "bad\uFFFDutf8",
		strings.Repeat("é", 500):     strings.Repeat("é", 500),
		strings.Repeat("é", 501):     strings.Repeat("é", 499) + "…",
		"\x1b[31mred\x1b[0m is gone": "[31mred [0m is gone",
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%.20q) = %q, want %q", in, got, want)
		}
	}
}

func TestDo(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t" {
			t.Errorf("headers = %v", r.Header)
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") })
	mux.HandleFunc("/huge", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxBody+1)) })
	mux.HandleFunc("/full", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxBody)) })
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = w.Write([]byte("x"))
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	c := NewClient("acme", nil)
	do := func(path string) (Response, error) {
		return c.Do(t.Context(), Request{Op: "try", Method: http.MethodPost, URL: srv.URL + path, Header: http.Header{"Authorization": {"Bearer t"}}})
	}
	if resp, err := do("/redirect"); err != nil || resp.Status != http.StatusTemporaryRedirect {
		t.Errorf("redirect = %d, %v", resp.Status, err)
	}
	if resp, err := do("/full"); err != nil || len(resp.Body) != maxBody {
		t.Errorf("full = %d bytes, %v", len(resp.Body), err)
	}
	if _, err := do("/huge"); KindOf(err) != Permanent || err == nil {
		t.Errorf("huge = %v, want a permanent error", err)
	}
	if _, err := do("/cut"); err == nil || !strings.Contains(err.Error(), "reading the answer") {
		t.Errorf("cut = %v, want an error of reading", err)
	}
	if _, err := do("/\x00"); KindOf(err) != Permanent || err == nil {
		t.Errorf("bad address = %v, want a permanent error", err)
	}
	var v struct{}
	if err := c.Decode("try", Response{Status: 200, Body: []byte("<html>")}, &v); KindOf(err) != Retryable || err == nil {
		t.Errorf("Decode = %v, want a retryable error", err)
	}
}

func TestErrorsOfTheNetworkHideTheAddress(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := NewClient("acme", nil).Do(ctx, Request{Op: "try", Method: http.MethodGet, URL: "http://127.0.0.1:1/?key=hunter2"})
	if err == nil || strings.Contains(err.Error(), "hunter2") || KindOf(err) != Retryable || !errors.Is(err, context.Canceled) {
		t.Errorf("Do = %v, want a retryable error without the address", err)
	}
}
