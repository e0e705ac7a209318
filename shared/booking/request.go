package booking

import (
	"bytes"
	"fmt"

	"ingestion.internal/shared/store"
	"ingestion.internal/shared/topology"
)

// Heard returns the request that the event's booking is and the event as it is
// kept. Events that say the same are one. Bookings of two sources, constants of
// package store, are two, whatever their ids.
func Heard(source string, e *Event) (requestID string, event store.Event) {
	return store.RequestID(e.TenantID, source, e.BookingID), store.Event{
		ID:         store.EventID(e.TenantID, source, e.BookingID, string(e.Body)),
		Type:       string(e.Status),
		Source:     source,
		Payload:    e.Body,
		OccurredAt: e.UpdatedAt,
	}
}

// FoldRequest folds a tenant's booking of a source into its request. It has a booking analysed
// when it is new and whenever what it says changes. A cancellation is analysed
// too, so that a booking ends the same whatever the order in which its events
// came; its decision is that nothing follows from it.
func FoldRequest(source, tenantID string) store.Fold {
	return func(current *store.Request, events []store.Event) (store.Revision, error) {
		parsed := make([]Event, len(events))
		for i, e := range events {
			p, err := Parse(e.Payload)
			if err != nil {
				return store.Revision{}, fmt.Errorf("event %s: %w", e.ID, err)
			}
			parsed[i] = *p
		}
		b, err := Fold(parsed)
		if err != nil {
			return store.Revision{}, err
		}
		revision := store.Revision{Begin: topology.AIAnalysis, Request: store.Request{
			TenantID:          tenantID,
			OfficeID:          b.OfficeID,
			Source:            source,
			CommunicationMode: store.ModeBooking,
			CustomerName:      b.Customer.Name,
			CustomerPhone:     b.Customer.Phone,
			CustomerEmail:     b.Customer.Email,
			PostalCode:        b.Customer.Zip,
			Payload:           b.Payload,
		}}
		if current != nil {
			before, err := Fold(parsed[:len(parsed)-1])
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
