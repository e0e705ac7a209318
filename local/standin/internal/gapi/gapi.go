// Package gapi is what the stand-ins of Google APIs share: the error answer
// and the check of the caller.
package gapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"ingestion.internal/local/cloud"
)

// Error is a Google API error (google.rpc.Status over HTTP).
type Error struct {
	Code    int    // HTTP status
	Message string // for the developer
}

func (e *Error) Error() string { return e.Message }

// Errorf returns an Error.
func Errorf(code int, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// statuses are the google.rpc.Code names of HTTP statuses, from
// google/rpc/code.proto.
var statuses = map[int]string{
	http.StatusBadRequest:          "INVALID_ARGUMENT",
	http.StatusUnauthorized:        "UNAUTHENTICATED",
	http.StatusForbidden:           "PERMISSION_DENIED",
	http.StatusNotFound:            "NOT_FOUND",
	http.StatusTooManyRequests:     "RESOURCE_EXHAUSTED",
	http.StatusNotImplemented:      "UNIMPLEMENTED",
	http.StatusInternalServerError: "INTERNAL",
	http.StatusServiceUnavailable:  "UNAVAILABLE",
	http.StatusGatewayTimeout:      "DEADLINE_EXCEEDED",
}

// WriteStatus answers with an error in the shape of Google's JSON APIs.
func WriteStatus(w http.ResponseWriter, code int, message string) {
	status, ok := statuses[code]
	if !ok {
		status = "UNKNOWN"
	}
	WriteJSON(w, code, map[string]any{"error": map[string]any{"code": code, "message": message, "status": status}})
}

// WriteError answers with err; what is no *Error is an internal one.
func WriteError(w http.ResponseWriter, err error) {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{http.StatusInternalServerError, err.Error()}
	}
	WriteStatus(w, e.Code, e.Message)
}

// WriteJSON answers with v.
func WriteJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

// Guard asks local IAM before a stand-in acts.
type Guard struct {
	Identity cloud.Identity
	IAM      cloud.IAM
}

// Check returns the caller of r if its access token is valid and it holds the
// permission, else an *Error as the API would answer.
func (g Guard) Check(r *http.Request, permission string, res cloud.Resource) (principal string, err error) {
	principal, err = g.Identity.Caller(r)
	if err != nil {
		return "", Errorf(http.StatusUnauthorized, "Request had invalid authentication credentials: %v", err)
	}
	if err := g.IAM.Check(r.Context(), principal, permission, res); err != nil {
		var denied *cloud.Denied
		if errors.As(err, &denied) {
			return "", Errorf(http.StatusForbidden, "Permission '%s' denied on resource '%s' (or it may not exist): %v", permission, res.Name, err)
		}
		return "", fmt.Errorf("check %s: %w", permission, err)
	}
	return principal, nil
}
