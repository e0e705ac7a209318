package pipeline

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/googleapis/gax-go/v2/apierror"
	"google.golang.org/grpc/codes"

	"ingestion.internal/shared/fault"
)

// Permanent wraps an error that no retry can mend: the stage fails at once. It
// is fault.Permanent, for workers that meet such an error themselves.
func Permanent(err error) error { return fault.Permanent(err) }

// hasCode tells an API's answer by its HTTP status or its gRPC code: REST
// clients fill in one or both, depending on the answer's body.
func hasCode(err error, status int, code codes.Code) bool {
	var api *apierror.APIError
	if !errors.As(err, &api) {
		return false
	}
	return api.HTTPCode() == status || api.GRPCStatus().Code() == code
}

// What a cause must not carry into the database: whatever follows a URL's
// question mark, credentials in headers, and values of telling names.
var scrubbers = []struct {
	find    *regexp.Regexp
	replace string
}{
	{regexp.MustCompile(`(https?://)[^\s/"'@]*@`), `${1}…@`},
	{regexp.MustCompile(`(https?://[^\s"'?]*)\?[^\s"']*`), `${1}?…`},
	{regexp.MustCompile(`(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]+`), `${1} …`},
	{regexp.MustCompile(`(?i)\b((?:api|access|signing|private)?[_-]?(?:token|key|secret|password|signature))\\?["']?\s*[=:]\s*\\?["']?[^\s"'\\&,;]+`), `${1}=…`},
}

// Cause returns the text of an error as it may be shown to operators. Its
// length is bounded by the store.
func Cause(err error) string {
	text := err.Error()
	for _, s := range scrubbers {
		text = s.find.ReplaceAllString(text, s.replace)
	}
	return text
}

// panicError is what a worker's panic becomes.
type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }
