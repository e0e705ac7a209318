package main

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"

	"ingestion.internal/shared/form"
	"ingestion.internal/shared/intake"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/problem"
	"ingestion.internal/shared/publicapi"
	"ingestion.internal/shared/secrets"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/tenant"
	"ingestion.internal/shared/topology"
)

// acceptTimeout bounds everything between the form's last byte and the answer.
const acceptTimeout = 8 * time.Second

type handler struct {
	db       *store.DB
	enqueuer *pipeline.Enqueuer
	guard    *publicapi.Guard
	secrets  secrets.Accessor
	now      func() time.Time

	documents *documents
	maxFields int64 // bytes of a form but for its files
}

func (h *handler) mount(r chi.Router) {
	r.Method(http.MethodPost, "/api/v1/forms", service.Handler(h.form))
	r.Options("/api/v1/forms", publicapi.Preflight)
}

// form handles POST /api/v1/forms: 202 for a new form, 200 for one whose
// Idempotency-Key is known, 422 for a key that was used for another form or for
// other files. Files are stored before the answer. A form without script that asks to be sent on is answered 303.
func (h *handler) form(w http.ResponseWriter, r *http.Request) error {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && media == "multipart/form-data" {
		waitCtx, cancel := context.WithTimeout(r.Context(), acceptTimeout)
		defer cancel()
		release, err := h.documents.admit(waitCtx)
		if err != nil {
			return err
		}
		defer release()
	} else {
		r.Body = http.MaxBytesReader(w, r.Body, h.maxFields)
	}
	body, err := service.ReadBody(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), acceptTimeout)
	defer cancel()
	raw, err := form.Read(r.Header.Get("Content-Type"), body)
	switch {
	case errors.Is(err, form.ErrMediaType):
		return problem.New(problem.UnsupportedMedia, err.Error())
	case errors.Is(err, form.ErrMalformed):
		return problem.New(problem.BadRequest, err.Error())
	case err != nil:
		return problem.New(problem.Unprocessable, err.Error())
	}
	if raw.TenantID == "" {
		return problem.New(problem.Unprocessable, "tenant_id is missing")
	}
	lets, err := h.tenant(ctx, raw.TenantID)
	if err != nil {
		return err
	}
	// Before the budgets: what is not proven must not use up those of the proven.
	proven, err := h.prove(ctx, r, body, raw.TenantID, lets)
	if err != nil {
		if limited := h.guard.AdmitCaller(w, r, raw.TenantID, lets); limited != nil {
			return limited // who guesses is held to the limit of addresses
		}
		return err
	}
	if err := h.admit(w, r, proven, raw.TenantID, lets); err != nil {
		return err
	}
	f, err := raw.Interpret(lets)
	if err != nil {
		return problem.New(problem.Unprocessable, err.Error())
	}
	attachments, err := h.documents.check(raw.Files)
	if err != nil {
		return err
	}
	fields := int64(len(body))
	for _, a := range attachments {
		fields -= int64(a.Size)
	}
	if fields > h.maxFields {
		return problem.New(problem.TooLarge, fmt.Sprintf("at most %d bytes are accepted beside files", h.maxFields))
	}
	if err := h.office(ctx, f); err != nil {
		return err
	}
	requestID, err := proven.requestID(r, f, body)
	if err != nil {
		return err
	}
	f.Attachments = attachments
	if err := h.keep(ctx, f, requestID, raw.Files); err != nil {
		return err
	}
	payload, err := f.Payload(proven.origin(r))
	if err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	said, err := f.Said()
	if err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	if f.Redirect != "" && raw.Plain {
		w = &sentOn{ResponseWriter: w, request: r, address: f.Redirect}
	}
	first := topology.AIAnalysis
	if len(f.Attachments) > 0 {
		first = topology.DocumentProcessing
	}
	event, fold := store.Whole(store.Request{
		TenantID:          f.TenantID,
		RequestID:         requestID,
		OfficeID:          f.OfficeID,
		Source:            store.SourceForm,
		CommunicationMode: store.ModeForm,
		CustomerName:      f.Name,
		CustomerPhone:     f.Phone,
		CustomerEmail:     f.Email,
		PostalCode:        f.PostalCode,
		Payload:           payload,
	}, first)
	event.Said = said
	return pipeline.Record(ctx, w, h.db, h.enqueuer, f.TenantID, requestID, store.ModeForm, event, fold)
}

// keep stores the form's files. They are safe before their form is, so a form
// that is known has all of its files, and nothing is stored for it: neither
// what is there, nor what came with a form that is about to be refused.
func (h *handler) keep(ctx context.Context, f *form.Form, requestID string, files []form.File) error {
	if len(files) == 0 {
		return nil
	}
	h.documents.name(f.Attachments, f.TenantID, requestID)
	switch _, err := h.db.Tenant(f.TenantID).Request(ctx, requestID); {
	case err == nil:
		return nil
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	return h.documents.store(ctx, files, f.Attachments)
}

// unauthorized is one and the same answer to everything that names no active
// tenant, so that nobody learns which tenants there are.
func unauthorized(why error) error { return problem.Wrap(problem.Unauthorized, "", why) }

// tenant returns what the tenant lets in, if it is active.
func (h *handler) tenant(ctx context.Context, id string) (intake.Config, error) {
	if !tenant.ValidID(id) {
		return intake.Config{}, unauthorized(fmt.Errorf("%q cannot be a tenant", id))
	}
	lets, err := h.db.Directory().Intake(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return intake.Config{}, unauthorized(err)
	}
	return lets, err
}

// office checks that the form names an active office of its tenant, or none.
func (h *handler) office(ctx context.Context, f *form.Form) error {
	offices, err := h.db.Directory().Offices(ctx, f.TenantID)
	if errors.Is(err, store.ErrNotFound) {
		return unauthorized(fmt.Errorf("tenant %q: %w", f.TenantID, err))
	}
	if err != nil {
		return err
	}
	if f.OfficeID != "" && !slices.ContainsFunc(offices, func(o store.Office) bool { return o.OfficeID == f.OfficeID }) {
		return unauthorized(fmt.Errorf("tenant %s has no office %q", f.TenantID, f.OfficeID))
	}
	return nil
}

// sentOn answers what is accepted by sending the browser on to another page.
type sentOn struct {
	http.ResponseWriter
	request *http.Request
	address string
	done    bool
}

// WriteHeader answers 303 where the form was taken in, and anything else as it
// is.
func (s *sentOn) WriteHeader(status int) {
	if status == http.StatusAccepted || status == http.StatusOK {
		s.done = true
		s.Header().Del("Content-Type")
		http.Redirect(s.ResponseWriter, s.request, s.address, http.StatusSeeOther)
		return
	}
	s.ResponseWriter.WriteHeader(status)
}

// Write drops the body of an answer that was sent on.
func (s *sentOn) Write(b []byte) (int, error) {
	if s.done {
		return len(b), nil
	}
	return s.ResponseWriter.Write(b)
}
