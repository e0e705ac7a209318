// Package vendorapi calls the HTTP APIs of a tenant's vendors (its CRM, its
// mail service) and says of each refusal what can be done about it.
//
// It does not retry: backoff, and waiting for as long as [Error.RetryAfter]
// asks, is for the caller, who has a queue for it.
package vendorapi

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Kind says what can be done about an error.
type Kind int

// The kinds of errors.
const (
	// Retryable may pass by itself: network, rate limits, the vendor's faults.
	// It is the zero value: what is not known to be hopeless is worth a retry.
	Retryable Kind = iota
	// Credentials means that the vendor does not accept who we say we are or
	// what we were granted. Work is to be parked until someone mends that.
	Credentials
	// Permanent means that the same request will be refused again.
	Permanent
	// Conflict means that the vendor's records contradict each other, for
	// example several leads with one external id. Someone has to tidy up there.
	Conflict
)

// String is the kind's name in logs and audit trails.
func (k Kind) String() string {
	switch k {
	case Retryable:
		return "retryable"
	case Credentials:
		return "credentials"
	case Permanent:
		return "permanent"
	case Conflict:
		return "conflict"
	default:
		return fmt.Sprintf("Kind(%d)", int(k))
	}
}

// Error is a vendor's refusal or the failure to reach it. It holds no
// credentials and may be logged and stored.
type Error struct {
	Vendor     string        // for example "hubspot"
	Op         string        // what was tried, for example "upsert contact"
	Kind       Kind          // what can be done about it
	Status     int           // HTTP status; 0 if there was no answer
	Reason     string        // the vendor's own words, shortened by [Clean]
	RetryAfter time.Duration // how long the vendor asks to wait; 0 if it does not say
	Err        error         // the cause, where there is one
}

// Error reads: vendor: op: HTTP status: reason: cause (kind, retry after).
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Vendor, e.Op)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": HTTP %d", e.Status)
	}
	if e.Reason != "" {
		b.WriteString(": " + e.Reason)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	b.WriteString(" (" + e.Kind.String())
	if e.RetryAfter > 0 {
		fmt.Fprintf(&b, ", retry after %s", e.RetryAfter)
	}
	b.WriteString(")")
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf is the kind of the first [Error] in err's tree; Retryable if there is
// none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Retryable
}

// RetryAfter is how long the vendor asked to wait before the next try; 0 if it
// did not say.
func RetryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// maxReason bounds what is kept of a vendor's words, in characters.
const maxReason = 500

// Clean makes a vendor's words fit for one line of a log: control characters
// become spaces, runs of spaces one, and what is longer than 500 characters is
// cut.
func Clean(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "\uFFFD"), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " ")
	if runes := []rune(s); len(runes) > maxReason {
		return string(runes[:maxReason-1]) + "…"
	}
	return s
}
