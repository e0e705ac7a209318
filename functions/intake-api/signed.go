package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"ingestion.internal/shared/form"
	"ingestion.internal/shared/intake"
	"ingestion.internal/shared/keyring"
	"ingestion.internal/shared/problem"
	"ingestion.internal/shared/secrets"
	"ingestion.internal/shared/signature"
	"ingestion.internal/shared/topology"
)

// prove looks at the signature of a form, if it has one or its tenant wants one.
// One that was signed by the tenant's server comes from that server's address,
// whoever filled it in, so addresses are not told apart: what is returned has
// the tenant's limit alone.
func (h *handler) prove(ctx context.Context, r *http.Request, body []byte, tenantID string, lets intake.Config) (intake.Config, error) {
	header := r.Header.Get(form.SignatureHeader)
	switch {
	case header == "" && lets.Signed:
		return lets, unauthorized(fmt.Errorf("tenant %s: the form is not signed", tenantID))
	case header == "":
		return lets, nil
	}
	secret, err := h.secrets.Access(ctx, topology.FormKeySecret(tenantID))
	if err != nil && !secrets.IsNotFound(err) {
		return lets, problem.Wrap(problem.Unavailable, "", fmt.Errorf("key for forms: %w", err))
	}
	keys := keyring.Keys(secret, keyring.Form)
	if len(keys) == 0 {
		return lets, unauthorized(errors.New("tenant " + tenantID + " has no key for forms"))
	}
	if err := signature.Verify(header, body, h.now(), keys...); err != nil {
		return lets, unauthorized(fmt.Errorf("tenant %s: %w", tenantID, err))
	}
	lets = lets.WithDefaults()
	lets.PerAddress = lets.PerMinute
	return lets, nil
}
