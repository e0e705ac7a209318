// Package problem is the one place where errors become HTTP answers: problem
// documents (RFC 9457) that tell the caller what to do and never why the
// platform failed inside.
package problem

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Kind is a class of failure that a caller can tell from the others. It is
// itself an error, for errors.Is.
type Kind struct {
	status     int
	slug       string
	title      string
	retryAfter int // seconds, 0 = no Retry-After header
}

// The kinds.
var (
	BadRequest       = &Kind{status: http.StatusBadRequest, slug: "bad-request", title: "The request is malformed"}
	Unauthorized     = &Kind{status: http.StatusUnauthorized, slug: "unauthorized", title: "The request could not be authenticated"}
	Forbidden        = &Kind{status: http.StatusForbidden, slug: "forbidden", title: "This is not allowed"}
	NotFound         = &Kind{status: http.StatusNotFound, slug: "not-found", title: "There is nothing here"}
	MethodNotAllowed = &Kind{status: http.StatusMethodNotAllowed, slug: "method-not-allowed", title: "This method is not allowed here"}
	Conflict         = &Kind{status: http.StatusConflict, slug: "conflict", title: "The request conflicts with one in progress", retryAfter: 5}
	TooLarge         = &Kind{status: http.StatusRequestEntityTooLarge, slug: "too-large", title: "The request body is too large"}
	UnsupportedMedia = &Kind{status: http.StatusUnsupportedMediaType, slug: "unsupported-media-type", title: "The content type is not supported"}
	Unprocessable    = &Kind{status: http.StatusUnprocessableEntity, slug: "unprocessable", title: "The request has invalid fields"}
	TooManyRequests  = &Kind{status: http.StatusTooManyRequests, slug: "too-many-requests", title: "Too many requests", retryAfter: 1}
	Internal         = &Kind{status: http.StatusInternalServerError, slug: "internal", title: "The request failed"}
	Unavailable      = &Kind{status: http.StatusServiceUnavailable, slug: "unavailable", title: "The service is temporarily unavailable", retryAfter: 5}
)

// Error makes a Kind usable with errors.Is.
func (k *Kind) Error() string { return k.slug }

// Status returns the kind's HTTP status.
func (k *Kind) Status() int { return k.status }

// New returns an error of the kind. The detail is shown to the caller: it may
// say what is wrong with their request, and nothing else. Of several mistakes
// that [errors.Join] has put on lines of their own it makes one line, with "; "
// between them, and so do the others here.
func New(kind *Kind, detail string) error { return &failure{kind: kind, detail: oneLine(detail)} }

// Wrap returns an error of the kind whose cause is for the log alone.
func Wrap(kind *Kind, detail string, cause error) error {
	return &failure{kind: kind, detail: oneLine(detail), cause: cause}
}

// RetryAfter is New for a caller who is told when to come again, instead of
// the kind's own time.
func RetryAfter(kind *Kind, detail string, wait time.Duration) error {
	return &failure{kind: kind, detail: oneLine(detail), wait: max(wait, time.Second)}
}

// With is New for a caller who is told more than a detail: members of the
// document beside its own, RFC 9457 section 3.2.
func With(kind *Kind, detail string, members map[string]any) error {
	return &failure{kind: kind, detail: oneLine(detail), members: members}
}

func oneLine(detail string) string { return strings.ReplaceAll(detail, "\n", "; ") }

type failure struct {
	kind   *Kind
	detail string
	cause  error
	wait   time.Duration // 0 = the kind's
	// members go into the document beside its own.
	members map[string]any
}

func (f *failure) Error() string {
	s := f.kind.slug
	if f.detail != "" {
		s += ": " + f.detail
	}
	if f.cause != nil {
		s += ": " + f.cause.Error()
	}
	return s
}

func (f *failure) Unwrap() []error {
	if f.cause == nil {
		return []error{f.kind}
	}
	return []error{f.kind, f.cause}
}

// KindOf returns the kind of the error, Internal if it has none.
func KindOf(err error) *Kind {
	var f *failure
	if errors.As(err, &f) {
		return f.kind
	}
	var k *Kind
	if errors.As(err, &k) {
		return k
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return TooLarge
	}
	// What a dependency could not answer in time may be answered later.
	if errors.Is(err, context.DeadlineExceeded) {
		return Unavailable
	}
	var grpc interface{ GRPCStatus() *status.Status }
	if errors.As(err, &grpc) {
		switch grpc.GRPCStatus().Code() {
		case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted, codes.Aborted:
			return Unavailable
		}
	}
	return Internal
}

// DocumentOf returns the body that tells of the error, and for how many seconds
// the caller should wait, 0 where nothing is said of that. An error of no kind
// has no detail.
func DocumentOf(err error) (document map[string]any, retryAfter int) {
	kind := KindOf(err)
	retryAfter = kind.retryAfter
	document = map[string]any{}
	var f *failure
	if errors.As(err, &f) {
		maps.Copy(document, f.members)
		if f.detail != "" {
			document["detail"] = f.detail
		}
		if f.wait > 0 {
			retryAfter = int(math.Ceil(f.wait.Seconds()))
		}
	}
	document["type"], document["title"], document["status"] = "urn:ingestion:problem:"+kind.slug, kind.title, kind.status
	return document, retryAfter
}

// Write answers with the error's kind and detail. Errors of no kind are
// answered 500 without any detail.
func Write(w http.ResponseWriter, err error) {
	document, retryAfter := DocumentOf(err)
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	w.WriteHeader(KindOf(err).status)
	// A failure to write means that the caller has gone.
	_ = json.NewEncoder(w).Encode(document)
}
