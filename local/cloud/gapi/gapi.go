// Package gapi writes what every Google REST API writes: JSON resources, and
// errors in the one form that all official clients understand.
package gapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"google.golang.org/grpc/codes"

	"ingestion.internal/local/cloud"
)

// Error is a refused API call.
type Error struct {
	Code    codes.Code
	Message string
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Errorf makes an Error.
func Errorf(code codes.Code, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Code returns the canonical code of an error: that of an *Error, and
// PermissionDenied for a *cloud.Denied. Anything else is Internal.
func Code(err error) codes.Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	if _, ok := errors.AsType[*cloud.Denied](err); ok {
		return codes.PermissionDenied
	}
	return codes.Internal
}

// httpStatus maps canonical codes to HTTP as google.rpc.Code documents, and to
// the names that the status field of an error carries.
var httpStatus = map[codes.Code]struct {
	status int
	name   string
}{
	codes.InvalidArgument:    {http.StatusBadRequest, "INVALID_ARGUMENT"},
	codes.FailedPrecondition: {http.StatusBadRequest, "FAILED_PRECONDITION"},
	codes.OutOfRange:         {http.StatusBadRequest, "OUT_OF_RANGE"},
	codes.Unauthenticated:    {http.StatusUnauthorized, "UNAUTHENTICATED"},
	codes.PermissionDenied:   {http.StatusForbidden, "PERMISSION_DENIED"},
	codes.NotFound:           {http.StatusNotFound, "NOT_FOUND"},
	codes.AlreadyExists:      {http.StatusConflict, "ALREADY_EXISTS"},
	codes.Aborted:            {http.StatusConflict, "ABORTED"},
	codes.ResourceExhausted:  {http.StatusTooManyRequests, "RESOURCE_EXHAUSTED"},
	codes.Canceled:           {499, "CANCELLED"},
	codes.Unimplemented:      {http.StatusNotImplemented, "UNIMPLEMENTED"},
	codes.Unavailable:        {http.StatusServiceUnavailable, "UNAVAILABLE"},
	codes.DeadlineExceeded:   {http.StatusGatewayTimeout, "DEADLINE_EXCEEDED"},
	codes.Internal:           {http.StatusInternalServerError, "INTERNAL"},
}

// WriteError answers with an error.
func WriteError(w http.ResponseWriter, err error) {
	h, ok := httpStatus[Code(err)]
	if !ok {
		h = httpStatus[codes.Internal]
	}
	body := map[string]any{"code": h.status, "message": err.Error(), "status": h.name}
	if denied, ok := errors.AsType[*cloud.Denied](err); ok {
		body["details"] = []any{map[string]any{
			"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "IAM_PERMISSION_DENIED", "domain": "iam.googleapis.com",
			"metadata": map[string]string{"permission": denied.Permission, "resource": denied.Resource},
		}}
	}
	write(w, h.status, map[string]any{"error": body})
}

// Write answers 200 with a resource.
func Write(w http.ResponseWriter, resource any) { write(w, http.StatusOK, resource) }

func write(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	// The caller may have gone; there is nobody left to tell.
	_, _ = w.Write(data)
}
