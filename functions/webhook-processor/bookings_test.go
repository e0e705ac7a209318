package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ingestion.internal/shared/booking"
	"ingestion.internal/shared/signature"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/topology"
)

const bookingKey = "key-of-acme-for-bookings"

// withBookings starts the service with keys for bookings beside CallRail's.
func withBookings(t *testing.T) *fixture {
	f := newFixture(t, nil)
	f.google.SetSecret("callrail-signing-key-acme", acmeKey+"\nbooking:"+bookingKey+"\nbooking:older-key\n")
	f.google.SetSecret("callrail-signing-key-bolt", "key-of-bolt")
	return f
}

func (f *fixture) book(body, key string, at time.Time) *httptest.ResponseRecorder {
	f.t.Helper()
	req := httptest.NewRequestWithContext(f.t.Context(), http.MethodPost, "/api/v1/bookings", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(booking.SignatureHeader, signature.Sign([]byte(key), []byte(body), at))
	rec := httptest.NewRecorder()
	f.router.ServeHTTP(rec, req)
	return rec
}

// booked is an event of a booking of acme's.
func booked(id string, status booking.Status, sequence, day int, more string) string {
	return fmt.Sprintf(`{"tenant_id":"acme","booking_id":%q,"status":%q,"sequence":%d,"starts_at":"2026-03-%02dT10:00:00-05:00"%s}`, id, status, sequence, day, more)
}

const robin = `,"customer":{"name":"Robin","phone":"310 555 0142","email":"Robin@Example.com","zip":"90210"},"service":"estimate"`

// One booking has one request, whatever becomes of it.
func TestEventsOfABooking(t *testing.T) {
	f := withBookings(t)
	steps := []struct {
		name, body string
		begun      []string
	}{
		{"booked", booked("B1", booking.Booked, 0, 4, robin), []string{"ai-analysis/0"}},
		{"moved", booked("B1", booking.Moved, 2, 6, `,"office_id":"south"`), []string{"ai-analysis/1"}},
		{"nothing_new", booked("B1", booking.Moved, 3, 6, ""), nil},
		{"a_move_before", booked("B1", booking.Moved, 1, 5, ""), []string{"ai-analysis/2"}},
		{"cancelled", `{"tenant_id":"acme","booking_id":"B1","status":"cancelled","sequence":4}`, []string{"ai-analysis/3"}},
	}
	var id string
	for _, s := range steps {
		got := f.accepted(f.book(s.body, bookingKey, time.Now()), http.StatusAccepted)
		if id == "" {
			id = got.RequestID
		}
		if got.RequestID != id {
			t.Errorf("%s: request %s, want %s", s.name, got.RequestID, id)
		}
		if diff := cmp.Diff(s.begun, f.begun(id)); diff != "" {
			t.Errorf("%s: stages (-want +got)\n%s", s.name, diff)
		}
		// The same event, written in another way and signed by the other key.
		f.accepted(f.book(" "+s.body+"\n", "older-key", time.Now()), http.StatusOK)
		f.drain(id)
	}
	want := &store.Request{
		TenantID: storetest.Acme, RequestID: id, OfficeID: "south", Source: store.SourceBooking, CommunicationMode: store.ModeBooking,
		Status: store.StatusCompleted, Decision: "decided", Revision: 4,
		CustomerName: "Robin", CustomerPhone: "+13105550142", CustomerEmail: "robin@example.com", PostalCode: "90210",
	}
	got := f.request(id)
	if booking.StatusOf(got.Payload) != booking.Cancelled {
		t.Errorf("in the end: %s", got.Payload)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(store.Request{}, "Payload", "Analysis", "ReceivedAt", "UpdatedAt")); diff != "" {
		t.Errorf("request (-want +got)\n%s", diff)
	}
	if requests, events, _ := f.rows(); requests != 1 || events != int64(len(steps)) {
		t.Errorf("%d requests and %d events, want 1 and %d", requests, events, len(steps))
	}
	// Another tenant's booking of that id is another request.
	if other := store.RequestID(storetest.Bolt, store.SourceBooking, "B1"); other == id {
		t.Error("two tenants share a request")
	}
}

func TestBookingRefused(t *testing.T) {
	f := withBookings(t)
	good := booked("B1", booking.Booked, 0, 4, robin)
	now := time.Now()
	for name, tt := range map[string]struct {
		body, key string
		at        time.Time
		want      int
	}{
		"unknown_tenant":        {strings.Replace(good, "acme", "nobody", 1), bookingKey, now, http.StatusUnauthorized},
		"no_tenants_name":       {strings.Replace(good, "acme", "../acme", 1), bookingKey, now, http.StatusUnauthorized},
		"platforms_key":         {strings.Replace(good, "acme", "nobody", 1), platformKey, now, http.StatusUnauthorized},
		"tenant_without_key":    {strings.Replace(good, "acme", "bolt", 1), bookingKey, now, http.StatusUnauthorized},
		"callrails_key_of_bolt": {strings.Replace(good, "acme", "bolt", 1), "key-of-bolt", now, http.StatusUnauthorized},
		"callrails_key":         {good, acmeKey, now, http.StatusUnauthorized},
		"key_with_its_label":    {good, "booking:" + bookingKey, now, http.StatusUnauthorized},
		"wrong_key":             {good, "other", now, http.StatusUnauthorized},
		"replayed":              {good, bookingKey, now.Add(-6 * time.Minute), http.StatusUnauthorized},
		"office_of_nobody":      {booked("B1", booking.Booked, 0, 4, `,"office_id":"west"`), bookingKey, now, http.StatusUnauthorized},
		"no_booking":            {`{"tenant_id":"acme"}`, bookingKey, now, http.StatusBadRequest},
		"truncated":             {good[:30], bookingKey, now, http.StatusBadRequest},
		"too_large":             {strings.Repeat(" ", maxBody) + good, bookingKey, now, http.StatusRequestEntityTooLarge},
	} {
		if rec := f.book(tt.body, tt.key, tt.at); rec.Code != tt.want {
			t.Errorf("%s: status %d, want %d: %s", name, rec.Code, tt.want, rec.Body)
		}
	}
	// What is signed for bookings is no call's.
	if rec := f.post(delivery{body: platformPayload("CAL1"), key: bookingKey}); rec.Code != http.StatusUnauthorized {
		t.Errorf("a call with a booking's key: status %d", rec.Code)
	}
	if requests, events, stages := f.rows(); requests+events+stages != 0 {
		t.Errorf("%d requests, %d events and %d stages were written", requests, events, stages)
	}
}

// Whatever the order in which a booking's events come, how often each comes,
// which are lost, and where the workers are meanwhile.
func TestBookingsAreOrderIndependent(t *testing.T) {
	life := func(id string) []string {
		return []string{
			booked(id, booking.Booked, 0, 4, robin),
			booked(id, booking.Moved, 1, 5, `,"notes":"gate code 12"`),
			booked(id, booking.Moved, 2, 4, `,"customer":{"phone":"310 555 0199"}`),
			fmt.Sprintf(`{"tenant_id":"acme","booking_id":%q,"status":"cancelled","sequence":3,"notes":"too late"}`, id),
			booked(id, booking.Booked, 4, 9, ""),
		}
	}
	f := withBookings(t)
	h := f.db.Tenant(storetest.Acme)
	tell := func(body string) string {
		rec := f.book(body, bookingKey, time.Now())
		if rec.Code != http.StatusOK && rec.Code != http.StatusAccepted {
			t.Fatalf("status %d: %s", rec.Code, rec.Body)
		}
		return f.accepted(rec, rec.Code).RequestID
	}
	payload := func(raw json.RawMessage) map[string]any {
		var fields map[string]any
		if err := json.Unmarshal(raw, &fields); err != nil {
			t.Fatal(err)
		}
		delete(fields, "booking_id")
		return fields
	}
	for seed := range 8 {
		random := rand.New(rand.NewPCG(uint64(seed), 5))
		lost := random.IntN(6)
		pick := func(id string) []string {
			all := life(id)
			if lost < len(all) {
				all = slices.Delete(all, lost, lost+1)
			}
			return all
		}
		var id string
		for _, body := range pick(fmt.Sprintf("ordered%d", seed)) {
			id = tell(body)
			f.drain(id)
		}
		want := f.request(id)

		mixed := pick(fmt.Sprintf("mixed%d", seed))
		for range random.IntN(4) {
			mixed = append(mixed, mixed[random.IntN(len(mixed))])
		}
		random.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		var claims []*store.Claim
		for _, body := range mixed {
			id = tell(body)
			if len(claims) > 0 && random.IntN(2) == 0 {
				f.finish(claims[0])
				claims = claims[1:]
				continue
			}
			stage := topology.Stages[1+random.IntN(2)]
			claim, err := h.Claim(t.Context(), id, stage, time.Minute, 50)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				t.Fatal(err)
			}
			if err == nil && claim.State == store.Claimed {
				claims = append(claims, claim)
			}
		}
		for _, c := range claims {
			f.finish(c)
		}
		f.drain(id)
		got := f.request(id)
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(store.Request{}, "RequestID", "ReceivedAt", "UpdatedAt", "Revision", "Payload", "Analysis")); diff != "" {
			t.Errorf("seed %d, lost %d (-ordered +shuffled)\n%s", seed, lost, diff)
		}
		if diff := cmp.Diff(payload(want.Payload), payload(got.Payload)); diff != "" {
			t.Errorf("seed %d, lost %d: payload (-ordered +shuffled)\n%s", seed, lost, diff)
		}
		var of []json.RawMessage // what the analysis was made from
		if err := json.Unmarshal(got.Analysis, &of); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(payload(got.Payload), payload(of[1])); diff != "" {
			t.Errorf("seed %d, lost %d: analysed from something else\n%s", seed, lost, diff)
		}
	}
}
