package problem

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestWrite(t *testing.T) {
	t.Parallel()
	secret := errors.New("password hunter2 of 10.0.0.1")
	tests := map[string]struct {
		err        error
		status     int
		detail     string
		retryAfter bool
	}{
		"with_members":      {fmt.Errorf("x: %w", With(Conflict, "first the other", map[string]any{"expected": 3, "status": 1})), 409, "first the other", true},
		"new":               {New(BadRequest, "id is missing"), 400, "id is missing", false},
		"joined":            {New(BadRequest, errors.Join(errors.New("a is missing"), errors.New("b is no id")).Error()), 400, "a is missing; b is no id", false},
		"joined_wrapped":    {Wrap(BadRequest, "a\nb", secret), 400, "a; b", false},
		"joined_members":    {With(Conflict, "a\nb", nil), 409, "a; b", true},
		"joined_wait":       {RetryAfter(TooManyRequests, "a\nb", 0), 429, "a; b", true},
		"wrapped_cause":     {Wrap(Unauthorized, "", secret), 401, "", false},
		"wrapped_outside":   {fmt.Errorf("handler: %w", New(TooLarge, "at most 5")), 413, "at most 5", false},
		"bare_kind":         {NotFound, 404, "", false},
		"unknown":           {secret, 500, "", false},
		"kind_wins":         {Wrap(Internal, "", status.Error(codes.Unavailable, "x")), 500, "", false},
		"dependency_away":   {fmt.Errorf("db: %w", status.Error(codes.Unavailable, secret.Error())), 503, "", true},
		"dependency_broken": {status.Error(codes.InvalidArgument, secret.Error()), 500, "", false},
		"deadline":          {fmt.Errorf("db: %w", context.DeadlineExceeded), 503, "", true},
		"body_limit":        {&http.MaxBytesError{Limit: 5}, 413, "", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := httptest.NewRecorder()
			Write(rec, tt.err)
			if rec.Code != tt.status || (rec.Header().Get("Retry-After") != "") != tt.retryAfter {
				t.Errorf("status %d, header %v; want %d", rec.Code, rec.Header(), tt.status)
			}
			body := rec.Body.String()
			if strings.Contains(body, "hunter2") {
				t.Errorf("the cause leaked: %s", body)
			}
			if got := strings.Contains(body, `"detail":"`+tt.detail+`"`); got != (tt.detail != "") {
				t.Errorf("body %s, want detail %q", body, tt.detail)
			}
		})
	}
}

func TestMembers(t *testing.T) {
	t.Parallel()
	rec := httptest.NewRecorder()
	Write(rec, With(Conflict, "", map[string]any{"expected_number": 3, "status": 1}))
	want := `{"expected_number":3,"status":409,"title":"The request conflicts with one in progress","type":"urn:ingestion:problem:conflict"}` + "\n"
	if got := rec.Body.String(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
