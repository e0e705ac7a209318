// Package geocode asks the Google Maps Geocoding API (version 4) where an
// address is: https://developers.google.com/maps/documentation/geocoding/geocoding-v4-overview.
//
// It authenticates as the handler's service account (OAuth, scope
// maps-platform.geocode or cloud-platform); there is no API key to keep.
// Google's terms forbid to keep what it answers for long, so callers use a
// place and keep what they concluded from it.
package geocode

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	geocoding "cloud.google.com/go/maps/geocode/apiv4"
	"cloud.google.com/go/maps/geocode/apiv4/geocodepb"
	"github.com/googleapis/gax-go/v2/apierror"
	"google.golang.org/api/option"

	"ingestion.internal/shared/gcp"
	"ingestion.internal/shared/geo"
)

// ErrUnknown is the error for an address that the API knows no place of.
var ErrUnknown = errors.New("the geocoder knows no such address")

// maxAddress bounds an address in characters. Longer text is none.
const maxAddress = 300

// region is whose addresses are meant where one does not say: the platform's
// tenants are in North America. It is a preference, not a limit.
const region = "US"

// Client asks the API. It may be used concurrently.
type Client struct {
	api     *geocoding.Client
	timeout time.Duration
}

// New returns a client. An empty endpoint is Google's; timeout is that of one
// look-up with its retries. More options come after those of the endpoint.
func New(ctx context.Context, endpoint string, timeout time.Duration, opts ...option.ClientOption) (*Client, error) {
	if timeout <= 0 {
		return nil, errors.New("geocode: a positive timeout is needed")
	}
	api, err := geocoding.NewRESTClient(ctx, append(gcp.Options(endpoint), opts...)...)
	if err != nil {
		return nil, fmt.Errorf("geocoding client: %w", err)
	}
	return &Client{api: api, timeout: timeout}, nil
}

// Close ends the client's connections.
func (c *Client) Close() error { return c.api.Close() }

// Locate returns where address is. The error is [ErrUnknown] if there is no
// such place; no error shows the address, which is a customer's.
func (c *Client) Locate(ctx context.Context, address string) (*geo.Place, error) {
	address = strings.Join(strings.Fields(strings.ToValidUTF8(address, " ")), " ")
	if address == "" || utf8.RuneCountInString(address) > maxAddress {
		return nil, ErrUnknown
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	response, err := c.api.GeocodeAddress(ctx, &geocodepb.GeocodeAddressRequest{
		AddressInput: &geocodepb.GeocodeAddressRequest_AddressQuery{AddressQuery: address},
		LanguageCode: "en",
		RegionCode:   region,
	})
	if err != nil {
		return nil, private(err)
	}
	if len(response.GetResults()) == 0 {
		return nil, ErrUnknown
	}
	best := response.GetResults()[0]
	place := &geo.Place{
		Point:      geo.Point{Lat: best.GetLocation().GetLatitude(), Lng: best.GetLocation().GetLongitude()},
		PostalCode: best.GetPostalAddress().GetPostalCode(),
		Rough:      rough(response.GetResults()),
	}
	if best.GetLocation() == nil || !place.Point.Valid() {
		return nil, errors.New("the geocoder answered without a location")
	}
	return place, nil
}

// rough: the API describes a town or a state by a point in it, and answers with
// several places when an address fits them all.
func rough(results []*geocodepb.GeocodeResult) bool {
	switch results[0].GetGranularity() {
	case geocodepb.GeocodeResult_ROOFTOP, geocodepb.GeocodeResult_RANGE_INTERPOLATED, geocodepb.GeocodeResult_GEOMETRIC_CENTER:
		return len(results) > 1
	}
	return true
}

// errLate is a deadline's error in a sentence for people.
type errLate struct{}

func (errLate) Error() string { return "the geocoder did not answer in time" }
func (errLate) Unwrap() error { return context.DeadlineExceeded }

// private is err in words that do not show the request, whose address is in
// its URL.
func private(err error) error {
	var api *apierror.APIError
	var network net.Error
	var request *url.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return errLate{}
	case errors.As(err, &api) && api.HTTPCode() > 0:
		return fmt.Errorf("the geocoder answered %d", api.HTTPCode())
	case errors.As(err, &api):
		return fmt.Errorf("the geocoder answered %s", api.GRPCStatus().Code())
	case errors.As(err, &request):
		return fmt.Errorf("the geocoder could not be reached: %w", request.Err)
	}
	return errors.New("the geocoder gave an answer that could not be read")
}
