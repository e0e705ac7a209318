package main

import (
	"bytes"
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
	requestID := store.RequestID(event.TenantID, store.SourceBooking, event.BookingID)
	return pipeline.Record(ctx, w, h.db, h.enqueuer, event.TenantID, requestID, store.ModeBooking, store.Event{
		ID:         store.EventID(event.TenantID, store.SourceBooking, event.BookingID, string(event.Body)),
		Type:       string(event.Status),
		Source:     store.SourceBooking,
		Payload:    event.Body,
		OccurredAt: event.UpdatedAt,
	}, foldBooking(event.TenantID))
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
	proof := booking.Verify(header.Get(booking.SignatureHeader), body, h.now(), keys...)
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

// foldBooking has a booking analysed when it is new and whenever what it says
// changes. A cancellation is analysed too, so that a booking ends the same
// whatever the order in which its events came; its decision is that nothing
// follows from it.
func foldBooking(tenantID string) store.Fold {
	return func(current *store.Request, events []store.Event) (store.Revision, error) {
		parsed := make([]booking.Event, len(events))
		for i, e := range events {
			p, err := booking.Parse(e.Payload)
			if err != nil {
				return store.Revision{}, fmt.Errorf("event %s: %w", e.ID, err)
			}
			parsed[i] = *p
		}
		b, err := booking.Fold(parsed)
		if err != nil {
			return store.Revision{}, err
		}
		revision := store.Revision{Begin: topology.AIAnalysis, Request: store.Request{
			TenantID:          tenantID,
			OfficeID:          b.OfficeID,
			Source:            store.SourceBooking,
			CommunicationMode: store.ModeBooking,
			CustomerName:      b.Customer.Name,
			CustomerPhone:     b.Customer.Phone,
			CustomerEmail:     b.Customer.Email,
			PostalCode:        b.Customer.Zip,
			Payload:           b.Payload,
		}}
		if current != nil {
			before, err := booking.Fold(parsed[:len(parsed)-1])
			if err != nil {
				return store.Revision{}, err
			}
			if bytes.Equal(before.Payload, b.Payload) {
				revision.Begin = ""
			}
		}
		return revision, nil
	}
}
