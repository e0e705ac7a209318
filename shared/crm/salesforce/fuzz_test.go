package salesforce

import (
	"net/http"
	"testing"

	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/crm/vendorapi/vendortest"
	"ingestion.internal/shared/wirefake"
)

// Whatever Salesforce answers, each lead has an outcome: a record's id, or an
// error that the dispatcher can act by.
func FuzzAnswers(f *testing.F) {
	f.Add(201, `{"id":"00Q1","success":true,"errors":[],"created":true}`)
	f.Add(200, `[{"id":"00Q1","success":true,"errors":[]},{"success":false,"errors":[{"statusCode":"UNABLE_TO_LOCK_ROW","message":"m","fields":[]}]}]`)
	f.Add(400, `[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"m"}]`)
	f.Add(300, `["/services/data/1","/services/data/2"]`)
	f.Add(401, `[{"errorCode":"INVALID_SESSION_ID"}]`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			t.Skip("no status of an answer")
		}
		c, err := New(settings("https://acme.my.salesforce.com"), mapping(t, nil), wirefake.Always{Status: status, Body: body})
		if err != nil {
			t.Fatal(err)
		}
		other := lead()
		other.RequestID = "6f0c1a52-6a0a-5d53-9c1e-6f0f8f7a1d10"
		vendortest.CheckOutcomes(t, c.UpsertBatch(t.Context(), []crm.Lead{lead(), other}), 2)
		result, err := c.Upsert(t.Context(), lead())
		vendortest.CheckOutcomes(t, []crm.Outcome{{Result: result, Err: err}}, 1)
	})
}

// login answers requests for tokens, and grants whatever is asked with one.
type login struct {
	t      *testing.T
	answer wirefake.Always
}

// RoundTrip implements http.RoundTripper.
func (l login) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == tokenPath {
		r = r.Clone(r.Context())
		r.URL.Path = "/" // Always grants tokens by itself
		return l.answer.RoundTrip(r)
	}
	if r.Header.Get("Authorization") == "Bearer " || r.URL.Scheme != "https" {
		l.t.Errorf("%s with %q", r.URL, r.Header.Get("Authorization"))
	}
	return wirefake.Always{Status: http.StatusCreated, Body: `{"id":"00Q1","success":true,"errors":[],"created":true}`}.RoundTrip(r)
}

// Whatever is answered to the request for a token, there is one to be used, over
// https only, or an error that the dispatcher can act by.
func FuzzToken(f *testing.F) {
	f.Add(200, `{"access_token":"t","instance_url":"https://acme.my.salesforce.com/","token_type":"Bearer"}`)
	f.Add(200, `{"access_token":"a\r\nb","instance_url":"http://169.254.169.254"}`)
	f.Add(200, `{"access_token":7}`)
	f.Add(400, `{"error":"invalid_grant","error_description":"retry your request"}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			t.Skip("no status of an answer")
		}
		c, err := New(settings("https://login.salesforce.com"), mapping(t, nil), login{t, wirefake.Always{Status: status, Body: body}})
		if err != nil {
			t.Fatal(err)
		}
		result, err := c.Upsert(t.Context(), lead())
		vendortest.CheckOutcomes(t, []crm.Outcome{{Result: result, Err: err}}, 1)
	})
}
