package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/problem"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/tenant"
	"ingestion.internal/shared/topology"
)

// acceptTimeout bounds everything before the answer.
const acceptTimeout = 8 * time.Second

type handler struct {
	db       *store.DB
	enqueuer *pipeline.Enqueuer
}

func (h *handler) mount(r chi.Router) {
	r.With(service.RequireJSON).Method(http.MethodPost, "/api/v1/forms", service.Handler(h.form))
}

var idempotencyKey = regexp.MustCompile(`^[\x21-\x7e]{1,255}$`)

// form handles POST /api/v1/forms: 202 for a new form, 200 for one whose
// Idempotency-Key is known.
func (h *handler) form(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), acceptTimeout)
	defer cancel()
	body, err := service.ReadBody(r)
	if err != nil {
		return err
	}
	f, malformed, invalid := parseForm(body)
	if malformed != nil {
		return problem.New(problem.BadRequest, malformed.Error())
	}
	if invalid != nil {
		return problem.New(problem.Unprocessable, strings.ReplaceAll(invalid.Error(), "\n", "; "))
	}
	if err := h.authenticate(ctx, f); err != nil {
		return err
	}
	requestID := uuid.NewString()
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		if !idempotencyKey.MatchString(key) {
			return problem.New(problem.BadRequest, "Idempotency-Key must be 1 to 255 printable characters")
		}
		requestID = store.RequestID(f.TenantID, store.SourceForm, key)
	}
	return pipeline.Accept(ctx, w, h.db, h.enqueuer, store.Request{
		TenantID:          f.TenantID,
		RequestID:         requestID,
		OfficeID:          f.OfficeID,
		Source:            store.SourceForm,
		CommunicationMode: store.ModeForm,
		CustomerName:      f.Name,
		CustomerPhone:     f.Phone,
		CustomerEmail:     f.Email,
		PostalCode:        f.PostalCode,
		Payload:           body,
	}, topology.AIAnalysis)
}

// authenticate returns nil if the form names an active tenant, and an active
// office of it where it names one. Everything else is one and the same 401, so
// that nobody learns which tenants there are.
func (h *handler) authenticate(ctx context.Context, f form) error {
	if !tenant.ValidID(f.TenantID) {
		return problem.Wrap(problem.Unauthorized, "", fmt.Errorf("%q cannot be a tenant", f.TenantID))
	}
	offices, err := h.db.Directory().Offices(ctx, f.TenantID)
	if errors.Is(err, store.ErrNotFound) {
		return problem.Wrap(problem.Unauthorized, "", fmt.Errorf("tenant %q: %w", f.TenantID, err))
	}
	if err != nil {
		return err
	}
	if f.OfficeID != "" && !slices.ContainsFunc(offices, func(o store.Office) bool { return o.OfficeID == f.OfficeID }) {
		return problem.Wrap(problem.Unauthorized, "", fmt.Errorf("tenant %s has no office %q", f.TenantID, f.OfficeID))
	}
	return nil
}
