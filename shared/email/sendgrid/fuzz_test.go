package sendgrid

import (
	"errors"
	"testing"

	"ingestion.internal/shared/crm/vendorapi"
	"ingestion.internal/shared/wirefake"
)

// Whatever SendGrid answers, a mail was taken or there is an error that the
// dispatcher can act by.
func FuzzAnswers(f *testing.F) {
	f.Add(202, "")
	f.Add(400, `{"errors":[{"message":"m","field":"personalizations.0.to.0.email"}]}`)
	f.Add(200, `{"messages":[{"msg_id":"1","status":"delivered","to_email":"sales@company.com"}]}`)
	f.Add(429, `{"errors":[{}]}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			t.Skip("no status of an answer")
		}
		c := newClient(t, "https://sendgrid.example")
		c.api = vendorapi.NewClient(vendor, wirefake.Always{Status: status, Body: body})
		_, err := c.Send(t.Context(), message())
		var refused *vendorapi.Error
		if (err == nil) != (status == 202 || status == 200) || err != nil && !errors.As(err, &refused) {
			t.Errorf("status %d: %v", status, err)
		}
	})
}
