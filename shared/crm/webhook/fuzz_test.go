package webhook

import (
	"errors"
	"testing"

	"ingestion.internal/shared/crm/vendorapi"
	"ingestion.internal/shared/wirefake"
)

// Whatever a receiver answers, the lead was taken or there is an error that the
// dispatcher can act by.
func FuzzAnswers(f *testing.F) {
	f.Add(200, `{"id":"L1"}`)
	f.Add(201, `{"id":7}`)
	f.Add(204, "")
	f.Add(409, `<html>conflict</html>`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			t.Skip("no status of an answer")
		}
		c := newConnector(t, "https://receiver.example/leads", nil)
		c.api = vendorapi.NewClient("webhook", wirefake.Always{Status: status, Body: body})
		_, err := c.Upsert(t.Context(), lead())
		var refused *vendorapi.Error
		if (err == nil) != (status < 300) || err != nil && !errors.As(err, &refused) {
			t.Errorf("status %d: %v", status, err)
		}
	})
}
