package hubspot

import (
	"testing"

	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/crm/vendorapi"
	"ingestion.internal/shared/crm/vendorapi/vendortest"
	"ingestion.internal/shared/wirefake"
)

// Whatever HubSpot answers, each lead has an outcome: a record's id, or an error
// that the dispatcher can act by.
func FuzzAnswers(f *testing.F) {
	f.Add(200, `{"results":[{"id":"1","properties":{"email":"mary@example.com"},"new":true}]}`)
	f.Add(207, `{"results":[],"errors":[{"category":"CONFLICT","message":"m","context":{"ids":["mary@example.com"]}}]}`)
	f.Add(400, `{"category":"VALIDATION_ERROR","message":"m","errors":[{"message":"n"}]}`)
	f.Add(429, `{"policyName":"DAILY"}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			t.Skip("no status of an answer")
		}
		c := newConnector(t, Settings{})
		c.api = vendorapi.NewClient("hubspot", wirefake.Always{Status: status, Body: body})
		vendortest.CheckOutcomes(t, c.UpsertBatch(t.Context(), []crm.Lead{lead(), lead(func(l *crm.Lead) { l.Customer.Email = "kim@example.com" })}), 2)
	})
}
