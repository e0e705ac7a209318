package wirefake

import (
	"cmp"
	"io"
	"net/http"
	"strings"
)

// Always answers every request with the status and the body, without a network:
// for fuzz tests of what other parties answer, behind the real client. Requests
// for OAuth tokens are granted.
type Always struct {
	Status int
	Type   string // "" = application/json
	Body   string
}

// RoundTrip implements http.RoundTripper.
func (a Always) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/oauth2/token") {
		a = Always{Status: http.StatusOK, Body: `{"access_token":"t","token_type":"Bearer"}`}
	}
	return &http.Response{
		StatusCode: a.Status, Header: http.Header{"Content-Type": {cmp.Or(a.Type, "application/json")}},
		Body: io.NopCloser(strings.NewReader(a.Body)), Request: r,
	}, nil
}
