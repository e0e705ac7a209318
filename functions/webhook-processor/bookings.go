package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"ingestion.internal/shared/booking"
	"ingestion.internal/shared/keyring"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/problem"
	"ingestion.internal/shared/secrets"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/signature"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/tenant"
	"ingestion.internal/shared/topology"
)

// booking handles POST /api/v1/bookings: 202 for a new event of a booking, 200
// for one that is known.
func (h *handler) booking(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), acceptTimeout)
	defer cancel()
	body, err := service.ReadBody(r)
	if err != nil {
		return err
	}
	event, err := booking.Parse(body)
	if err != nil {
		return problem.New(problem.BadRequest, err.Error())
	}
	if err := h.proveBooking(ctx, r.Header, body, event); err != nil {
		return err
	}
	requestID, heard := booking.Heard(store.SourceBooking, event)
	return pipeline.Record(ctx, w, h.db, h.enqueuer, event.TenantID, requestID, store.ModeBooking, heard, booking.FoldRequest(store.SourceBooking, event.TenantID))
}

// proveBooking returns nil once the signature proves that the event is of the
// tenant and of the office that it names. Every other answer is the same.
func (h *handler) proveBooking(ctx context.Context, header http.Header, body []byte, event *booking.Event) error {
	var offices []store.Office
	err := store.ErrNotFound
	if tenant.ValidID(event.TenantID) {
		offices, err = h.db.Directory().Offices(ctx, event.TenantID)
	}
	unknown := errors.Is(err, store.ErrNotFound)
	if err != nil && !unknown {
		return err
	}
	// An unknown tenant costs the same steps as a wrong signature.
	name := h.platformSecret
	if !unknown {
		name = topology.SigningKeySecret(event.TenantID)
	}
	secret, err := h.secrets.Access(ctx, name)
	if err != nil && !secrets.IsNotFound(err) {
		return problem.Wrap(problem.Unavailable, "", fmt.Errorf("key for bookings: %w", err))
	}
	keys := keyring.Keys(secret, keyring.Booking)
	_, proof := signature.Verify(header.Get(booking.SignatureHeader), body, h.now(), keys...)
	switch {
	case unknown:
		return errUnauthorized(fmt.Errorf("tenant %q: no such tenant", event.TenantID))
	case len(keys) == 0:
		return errUnauthorized(fmt.Errorf("tenant %s has no key for bookings", event.TenantID))
	case proof != nil:
		return errUnauthorized(fmt.Errorf("tenant %s: %w", event.TenantID, proof))
	case event.OfficeID != "" && !slices.ContainsFunc(offices, func(o store.Office) bool { return o.OfficeID == event.OfficeID }):
		return errUnauthorized(fmt.Errorf("tenant %s has no office %q", event.TenantID, event.OfficeID))
	}
	return nil
}
