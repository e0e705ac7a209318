package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"ingestion.internal/shared/form"
	"ingestion.internal/shared/intake"
	"ingestion.internal/shared/keyring"
	"ingestion.internal/shared/problem"
	"ingestion.internal/shared/secrets"
	"ingestion.internal/shared/signature"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/topology"
)

// proof is what a form's signature says beside the body. The zero value is that
// of a form without one.
type proof struct {
	signed bool
	at     time.Time
}

// prove looks at the signature of a form, if it has one or its tenant wants one.
func (h *handler) prove(ctx context.Context, r *http.Request, body []byte, tenantID string, lets intake.Config) (proof, error) {
	header := r.Header.Get(form.SignatureHeader)
	switch {
	case header == "" && lets.Signed:
		return proof{}, unauthorized(fmt.Errorf("tenant %s: the form is not signed", tenantID))
	case header == "":
		return proof{}, nil
	}
	secret, err := h.secrets.Access(ctx, topology.FormKeySecret(tenantID))
	if err != nil && !secrets.IsNotFound(err) {
		return proof{}, problem.Wrap(problem.Unavailable, "", fmt.Errorf("key for forms: %w", err))
	}
	keys := keyring.Keys(secret, keyring.Form)
	if len(keys) == 0 {
		return proof{}, unauthorized(errors.New("tenant " + tenantID + " has no key for forms"))
	}
	at, err := signature.Verify(header, body, h.now(), keys...)
	if err != nil {
		return proof{}, unauthorized(fmt.Errorf("tenant %s: %w", tenantID, err))
	}
	if err := form.CheckType(r.Header.Get("Content-Type"), body); err != nil {
		return proof{}, problem.New(problem.BadRequest, err.Error())
	}
	return proof{signed: true, at: at}, nil
}

// admit holds a form to its tenant's limits. One that was signed by the tenant's
// server comes from that server's address, whoever filled it in, so addresses
// are not told apart.
func (h *handler) admit(w http.ResponseWriter, r *http.Request, proven proof, tenantID string, lets intake.Config) error {
	if !proven.signed {
		return h.guard.Admit(w, r, tenantID, lets)
	}
	if err := h.guard.AdmitPage(w, r, lets); err != nil {
		return err
	}
	return h.guard.AdmitTenant(tenantID, lets)
}

// requestID is derived from the form's key, so that every try to send it makes
// the same request. The key of a form that is not signed is in its header or
// among its fields, and without one each try is another request.
//
// Of one that is signed only what the signature covers counts, or whoever has
// read it could send it again as another: its key is among its fields, and one
// without is known by its body and when that was signed. Its ids are apart from
// those of other forms: a stranger who guesses a key cannot use it first. No key
// has a space.
func (p proof) requestID(r *http.Request, f *form.Form, body []byte) (string, error) {
	key := f.IdempotencyKey
	if header := r.Header.Get("Idempotency-Key"); header != "" {
		if !form.ValidIdempotencyKey(header) {
			return "", problem.New(problem.BadRequest, "Idempotency-Key must be 1 to 255 printable characters")
		}
		if p.signed && header != key {
			return "", problem.New(problem.BadRequest, "the signature does not cover Idempotency-Key: a signed form has its key in _idempotency_key")
		}
		key = header
	}
	switch {
	case p.signed && key != "":
		key = "signed " + key
	case p.signed:
		key = fmt.Sprintf("signed at %d %x", p.at.Unix(), sha256.Sum256(body))
	case key == "":
		return uuid.NewString(), nil
	}
	return store.RequestID(f.TenantID, store.SourceForm, key), nil
}

// origin is the page that the form is from. Who signs is no browser, and the
// header is not covered.
func (p proof) origin(r *http.Request) string {
	if p.signed {
		return ""
	}
	return r.Header.Get("Origin")
}
