package main

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/analysis"
	"ingestion.internal/shared/geo"
	"ingestion.internal/shared/geocode"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/workflow"
)

func TestAddressOf(t *testing.T) {
	t.Parallel()
	spoken := func(address, city, state string) *analysis.Analysis {
		a := &analysis.Analysis{}
		a.Customer.Address, a.Location.City, a.Location.State = address, city, state
		return a
	}
	form := func(payload string) store.Request {
		return store.Request{CommunicationMode: store.ModeForm, Payload: []byte(payload)}
	}
	for name, tc := range map[string]struct {
		request store.Request
		a       *analysis.Analysis
		want    string
	}{
		"nothing":            {store.Request{}, spoken("", "", ""), ""},
		"spoken":             {store.Request{}, spoken("270 N Rodeo Drive", "Beverly Hills", "CA"), "270 N Rodeo Drive, Beverly Hills, CA"},
		"spoken_whole":       {store.Request{}, spoken("270 N Rodeo Drive, Beverly Hills CA", "beverly hills", "CA"), "270 N Rodeo Drive, Beverly Hills CA"},
		"only_a_town":        {store.Request{}, spoken("", "Denver", ""), "Denver"},
		"state_in_a_word":    {store.Request{}, spoken("1 Cahuenga Blvd", "", "CA"), "1 Cahuenga Blvd, CA"},
		"with_postal_code":   {store.Request{PostalCode: "M5V 2T6"}, spoken("290 Bremner Blvd", "", ""), "290 Bremner Blvd, M5V 2T6"},
		"only_a_postal_code": {store.Request{PostalCode: "90213"}, spoken("", "", ""), "90213"},
		"form":               {form(`{"address": " 1 Main St, ", "city": "Springfield", "state": "MA"}`), spoken("2 Oak St", "Boston", ""), "1 Main St, Springfield, MA"},
		"form_half":          {form(`{"street": "1 Main St"}`), spoken("", "Springfield", ""), "1 Main St, Springfield"},
		"form_of_others":     {form(`{"address": {"line": 1}, "street_address": "3 Elm St"}`), spoken("", "", ""), "3 Elm St"},
		"no_form":            {form(`[]`), spoken("2 Oak St", "", ""), "2 Oak St"},
		"call_with_a_payload": {store.Request{CommunicationMode: store.ModePhoneCall, Payload: []byte(`{"address": "the tracking number's"}`)},
			spoken("2 Oak St", "", ""), "2 Oak St"},
	} {
		if got := addressOf(&tc.request, tc.a); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

// places is a locator that knows what it is told.
type places struct {
	place *geo.Place
	err   error
	asked []string
}

func (p *places) Locate(_ context.Context, address string) (*geo.Place, error) {
	p.asked = append(p.asked, address)
	return p.place, p.err
}

// TestDecideByAddress: the geocoder is asked for what it is needed for, and a
// request whose address it does not find goes to a person.
func TestDecideByAddress(t *testing.T) {
	t.Parallel()
	rodeoDrive := &geo.Place{Point: geo.Point{Lat: 34.0674, Lng: -118.4012}, PostalCode: "90210"}
	spoken := []byte(`{"customer": {"address": "270 N Rodeo Drive"}}`)
	for name, tc := range map[string]struct {
		method  string
		places  *places // nil: the stack has none
		request store.Request
		want    workflow.Outcome
		reason  string
		asked   []string
	}{
		"found": {workflow.MethodGeocode, &places{place: rodeoDrive}, store.Request{Analysis: spoken}, workflow.Qualified,
			"the address is in ZIP code 90210, which is in the service area", []string{"270 N Rodeo Drive"}},
		"not_found": {workflow.MethodGeocode, &places{err: geocode.ErrUnknown}, store.Request{Analysis: spoken}, workflow.NeedsReview,
			"no postal code is known, so the service area could not be checked; the address could not be located: the geocoder knows no such address", []string{"270 N Rodeo Drive"}},
		"geocoder_away": {workflow.MethodGeocode, &places{err: errors.New("the geocoder answered 503")}, store.Request{Analysis: spoken}, workflow.NeedsReview,
			"no postal code is known, so the service area could not be checked; the address could not be located: the geocoder answered 503", []string{"270 N Rodeo Drive"}},
		"zip_code_settles": {workflow.MethodGeocode, &places{place: rodeoDrive}, store.Request{PostalCode: "90210", Analysis: spoken}, workflow.Qualified,
			"ZIP code 90210 is in the service area", nil},
		"spam": {workflow.MethodGeocode, &places{place: rodeoDrive}, store.Request{SpamLikelihood: ptr(99.0), Analysis: spoken}, workflow.Spam,
			"spam likelihood 99 reaches the threshold 75", nil},
		"no_address": {workflow.MethodGeocode, &places{place: rodeoDrive}, store.Request{}, workflow.NeedsReview,
			"no postal code is known, so the service area could not be checked; no address is known either", nil},
		"other_method": {workflow.MethodZIP, &places{place: rodeoDrive}, store.Request{Analysis: spoken}, workflow.NeedsReview,
			"no postal code is known, so the service area could not be checked", nil},
		"switched_off_later": {workflow.MethodGeocode, nil, store.Request{Analysis: spoken}, workflow.NeedsReview,
			"no postal code is known, so the service area could not be checked; the address could not be located: addresses are not looked up in this stack", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := area(t)
			cfg.ServiceArea.ValidationMethod = tc.method
			if tc.request.SpamLikelihood == nil {
				tc.request.SpamLikelihood = ptr(5.0)
			}
			w := &worker{}
			if tc.places != nil {
				w.places = tc.places
			}
			got, err := w.decide(t.Context(), pipeline.Job{Request: &tc.request, Office: &store.Office{Workflow: cfg}})
			if err != nil {
				t.Fatal(err)
			}
			if last := got.Reasons[len(got.Reasons)-1]; got.Outcome != tc.want || last != tc.reason {
				t.Errorf("%s: %q\nwant %s: %q", got.Outcome, last, tc.want, tc.reason)
			}
			var asked []string
			if tc.places != nil {
				asked = tc.places.asked
			}
			if diff := cmp.Diff(tc.asked, asked); diff != "" {
				t.Errorf("asked for (-want +got):\n%s", diff)
			}
		})
	}
}
