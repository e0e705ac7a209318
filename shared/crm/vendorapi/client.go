package vendorapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	timeout       = 30 * time.Second // for one call, body included
	maxBody       = 4 << 20          // bytes of an answer
	maxRetryAfter = 24 * time.Hour   // a vendor that asks for more is asked again after a day
)

// Client calls one vendor. Its methods may be used concurrently.
type Client struct {
	vendor string
	http   *http.Client
}

// NewClient returns a client whose errors name the vendor. A nil transport is
// [http.DefaultTransport]. Redirects are answers like others, never followed:
// they would carry credentials to a place nobody configured.
func NewClient(vendor string, transport http.RoundTripper) *Client {
	return &Client{vendor: vendor, http: HTTPClient(transport)}
}

// HTTPClient is the client that a vendor's own SDK is given: it waits 30 s for
// one exchange and does not follow redirects.
func HTTPClient(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     transport,
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Request is what is sent.
type Request struct {
	Op     string // what it is for, as errors name it
	Method string
	URL    string
	Header http.Header
	Body   []byte
}

// Response is what came back, whatever its status.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do sends req. An error means that there is no answer to read; what the
// answer means is for the caller, with [Client.Refused] for the usual.
func (c *Client) Do(ctx context.Context, req Request) (Response, error) {
	fail := func(kind Kind, err error) (Response, error) {
		return Response{}, &Error{Vendor: c.vendor, Op: req.Op, Kind: kind, Err: err}
	}
	hreq, err := http.NewRequestWithContext(ctx, req.Method, req.URL, bytes.NewReader(req.Body))
	if err != nil {
		return fail(Permanent, withoutURL(err))
	}
	for name, values := range req.Header {
		hreq.Header[name] = values
	}
	resp, err := c.http.Do(hreq)
	if err != nil {
		return fail(Retryable, withoutURL(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return fail(Retryable, fmt.Errorf("reading the answer: %w", err))
	}
	if len(body) > maxBody {
		return fail(Permanent, fmt.Errorf("the answer is larger than %d bytes", maxBody))
	}
	return Response{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// withoutURL takes the address out of err: some vendors put secrets there.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// Decode reads the answer to op as JSON into v. An answer that is none, as a
// proxy in between may give, is worth a retry.
func (c *Client) Decode(op string, resp Response, v any) error {
	if err := json.Unmarshal(resp.Body, v); err != nil {
		return &Error{Vendor: c.vendor, Op: op, Kind: Retryable, Status: resp.Status, Err: fmt.Errorf("decoding the answer: %w", err)}
	}
	return nil
}

// Refused is the error for an answer that does not grant op, with the vendor's
// reason ("" = the body's text). Its kind is [StatusKind]'s; the caller
// corrects it where the vendor's body knows better.
func (c *Client) Refused(op string, resp Response, reason string) *Error {
	if reason == "" {
		reason = string(resp.Body)
	}
	return &Error{
		Vendor:     c.vendor,
		Op:         op,
		Kind:       StatusKind(resp.Status),
		Status:     resp.Status,
		Reason:     Clean(reason),
		RetryAfter: ParseRetryAfter(resp.Header.Get("Retry-After"), time.Now()),
	}
}

// StatusKind is what a refusal's status says by itself.
func StatusKind(status int) Kind {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return Credentials
	case status == http.StatusConflict:
		return Conflict
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly,
		status == http.StatusTooManyRequests, status >= 500:
		return Retryable
	default:
		return Permanent
	}
}

// ParseRetryAfter reads a Retry-After header (RFC 9110, section 10.2.3: seconds
// or a date). Nonsense and the past are 0; more than a day is a day.
func ParseRetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
