package pipeline

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"ingestion.internal/shared/problem"
	"ingestion.internal/shared/tenant"
)

// A task that is taken names a tenant and a request, and nothing else is.
func FuzzTask(f *testing.F) {
	f.Add(`{"tenant_id":"acme","request_id":"5f0c1a52-6a0a-5d53-9c1e-6f0f8f7a1d10"}`)
	f.Add(`{"tenant_id":"../acme","request_id":"5f0c1a52-6a0a-5d53-9c1e-6f0f8f7a1d10"}`)
	f.Add(`{"tenant_id":"acme","request_id":"urn:uuid:5f0c1a52-6a0a-5d53-9c1e-6f0f8f7a1d10"}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, body string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://worker", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		task, err := readTask(r)
		if err != nil {
			if !errors.Is(err, problem.BadRequest) {
				t.Errorf("%q: %v", body, err)
			}
			return
		}
		if _, err := uuid.Parse(task.RequestID); err != nil || !tenant.ValidID(task.TenantID) {
			t.Errorf("%q is the task %+v", body, task)
		}
	})
}
