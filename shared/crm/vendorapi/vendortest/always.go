package vendortest

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/crm/vendorapi"
)

// Always answers every request with the status and the body, without a network:
// for fuzz tests of what vendors answer. Requests for OAuth tokens are granted.
type Always struct {
	Status int
	Body   string
}

// RoundTrip implements http.RoundTripper.
func (a Always) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := a.Status, a.Body
	if strings.HasSuffix(r.URL.Path, "/oauth2/token") {
		status, body = http.StatusOK, `{"access_token":"t","token_type":"Bearer"}`
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), Request: r,
	}, nil
}

// CheckOutcomes fails unless there is an outcome for each of n leads, and each
// error is one that tells the dispatcher what to do.
func CheckOutcomes(t *testing.T, outcomes []crm.Outcome, n int) {
	t.Helper()
	if len(outcomes) != n {
		t.Errorf("%d outcomes of %d leads", len(outcomes), n)
	}
	for _, o := range outcomes {
		var known *vendorapi.Error
		if o.Err != nil && !errors.As(o.Err, &known) {
			t.Errorf("an error that says nothing of what to do: %v", o.Err)
		}
	}
}
