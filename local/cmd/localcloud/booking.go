package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"ingestion.internal/local/internal/sample"
	"ingestion.internal/shared/booking"
	"ingestion.internal/shared/keyring"
	"ingestion.internal/shared/signature"
	"ingestion.internal/shared/topology"
)

// booking sends an event of a booking, or changes its event in the tenant's
// calendar, and follows its request.
func (a *app) booking(ctx context.Context) error {
	_, client, err := a.daemon()
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	b := sample.Booking{}
	if !a.opts.Move && !a.opts.Cancel {
		b = sample.Visit // what was said of the customer stays when the visit moves
	}
	b.TenantID, b.OfficeID, b.ID, b.At = a.opts.Tenant, a.opts.Office, a.opts.ID, now
	b.Move, b.Cancel = a.opts.Move, a.opts.Cancel
	b.Name, b.Phone = cmpOr(a.opts.Name, b.Name), cmpOr(a.opts.Phone, b.Phone)
	b.Email, b.Postal = cmpOr(a.opts.Email, b.Email), cmpOr(a.opts.Zip, b.Postal)
	b.Notes = cmpOr(a.opts.Message, b.Notes)
	if a.opts.Calendar {
		return a.calendarBooking(ctx, client, b)
	}
	body, err := b.JSON()
	if err != nil {
		return err
	}
	status, db, err := platform(ctx, client)
	if err != nil {
		return err
	}
	defer db.Close()
	key, err := partnerKey(ctx, client, topology.SigningKeySecret(b.TenantID), keyring.Booking)
	if err != nil {
		return fmt.Errorf("%w (set tenants.%s.secrets.bookingKey)", err, b.TenantID)
	}
	story, err := a.send(ctx, db, status, b.TenantID, "/api/v1/bookings", body,
		http.Header{booking.SignatureHeader: {signature.Sign(key, body, now)}}, false)
	return a.tell(ctx, story, err)
}
