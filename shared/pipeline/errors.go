package pipeline

import (
	"errors"

	"github.com/googleapis/gax-go/v2/apierror"
	"google.golang.org/grpc/codes"
)

// Permanent wraps an error that no retry can mend: the stage fails at once.
// Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanent{err}
}

type permanent struct{ error }

func (p *permanent) Unwrap() error { return p.error }

// IsPermanent tells whether the error was wrapped by Permanent.
func IsPermanent(err error) bool {
	var p *permanent
	return errors.As(err, &p)
}

func asAPIError(err error, target **apierror.APIError) bool { return errors.As(err, target) }

// hasCode tells an API's answer by its HTTP status or its gRPC code: REST
// clients fill in one or both, depending on the answer's body.
func hasCode(err error, status int, code codes.Code) bool {
	var api *apierror.APIError
	if !errors.As(err, &api) {
		return false
	}
	return api.HTTPCode() == status || api.GRPCStatus().Code() == code
}
