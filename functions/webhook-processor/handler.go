package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"

	"ingestion.internal/shared/callrail"
	"ingestion.internal/shared/intake"
	"ingestion.internal/shared/keyring"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/problem"
	"ingestion.internal/shared/secrets"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/topology"
)

// acceptTimeout bounds everything before the answer. CallRail does not say how
// long it waits, and it never sends again.
const acceptTimeout = 8 * time.Second

type handler struct {
	db             *store.DB
	secrets        secrets.Accessor
	enqueuer       *pipeline.Enqueuer
	platformSecret string
	replayWindow   time.Duration
	now            func() time.Time
}

func (h *handler) mount(r chi.Router) {
	receive := r.With(service.RequireJSON)
	receive.Method(http.MethodPost, "/api/v1/callrail/webhook", service.Handler(h.receive))
	receive.Method(http.MethodPost, "/api/v1/callrail/webhook/{event}", service.Handler(h.receive))
	receive.Method(http.MethodPost, "/api/v1/bookings", service.Handler(h.booking))
	r.Method(http.MethodPost, topology.CalendarNotifications, service.Handler(h.calendarNotification)) // it has no body
}

// errUnauthorized is the one answer to everything that is not proven to come
// from the tenant it names, so that nobody learns which tenants there are.
func errUnauthorized(why error) error {
	return problem.Wrap(problem.Unauthorized, "", why)
}

// receive handles POST /api/v1/callrail/webhook and /api/v1/callrail/webhook/
// followed by an event's name: 202 for a new event, 200 for one that is known.
// The 2xx says that the event is in the database.
func (h *handler) receive(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), acceptTimeout)
	defer cancel()
	kind := callrail.Kind(chi.URLParam(r, "event"))
	if kind != "" && !slices.Contains(callrail.Kinds, kind) {
		return problem.New(problem.NotFound, "no such webhook")
	}
	body, err := service.ReadBody(r)
	if err != nil {
		return err
	}
	event, err := callrail.Parse(kind, body)
	if err != nil {
		return problem.New(problem.BadRequest, err.Error())
	}
	office, err := h.authenticate(ctx, r.Header, body, event)
	if err != nil {
		return err
	}
	var lets intake.Config
	if event.Kind == callrail.FormSubmission {
		if lets, err = h.db.Directory().Intake(ctx, office.TenantID); err != nil {
			return err
		}
	}
	// CallRail's events have no ids: what is the same to the byte is one event,
	// whatever address it came to. The signature does not cover the address.
	id := store.EventID(office.TenantID, store.SourceCallRail, string(body))
	requestID, mode := subject(office.TenantID, event)
	return pipeline.Record(ctx, w, h.db, h.enqueuer, office.TenantID, requestID, mode, store.Event{
		ID:         id,
		Type:       string(event.Kind),
		Source:     store.SourceCallRail,
		CallID:     event.CallID,
		Payload:    body,
		OccurredAt: event.Timestamp,
	}, fold(office, lets))
}

// authenticate returns the office that the event belongs to, once its
// signature proves it.
func (h *handler) authenticate(ctx context.Context, header http.Header, body []byte, event *callrail.Event) (*store.Office, error) {
	office, err := h.db.Directory().OfficeByCompany(ctx, store.Company{
		TenantID: event.TenantID, ID: event.CompanyID, ResourceID: event.CompanyResourceID,
	})
	unknown := errors.Is(err, store.ErrNotFound)
	if err != nil && !unknown {
		return nil, err
	}
	// An unknown tenant costs the same steps as a wrong signature.
	keyName := h.platformSecret
	if !unknown && office.CallRailSigningKeySecret != "" {
		keyName = office.CallRailSigningKeySecret
	}
	// While a key is being changed, the secret holds the new and the old one.
	key, err := h.secrets.Access(ctx, keyName)
	if err != nil {
		// Not the caller's fault, and nobody but us can mend it.
		return nil, problem.Wrap(problem.Unavailable, "", fmt.Errorf("signing key: %w", err))
	}
	var signatures []string
	for _, name := range callrail.SignatureHeaders {
		signatures = append(signatures, header.Values(name)...)
	}
	verified := callrail.Verify(signatures, body, keyring.Keys(key, keyring.CallRail)...)
	switch {
	case unknown:
		return nil, errUnauthorized(fmt.Errorf("tenant %q, company %q: no such office", event.TenantID, event.CompanyID))
	case !verified:
		return nil, errUnauthorized(fmt.Errorf("tenant %s, office %s: the signature does not match", office.TenantID, office.OfficeID))
	case !event.Kind.IsModification() && h.stale(event.Timestamp):
		return nil, errUnauthorized(fmt.Errorf("tenant %s: the payload is of %s", office.TenantID, event.Timestamp))
	}
	return office, nil
}

// stale tells a payload that is too far from now. One without a timestamp is
// not: sent again, it meets the event that it made the first time. Nor is a
// modification, whose timestamp is that of the call, days ago perhaps.
func (h *handler) stale(t time.Time) bool {
	return h.replayWindow > 0 && !t.IsZero() && h.now().Sub(t).Abs() > h.replayWindow
}
