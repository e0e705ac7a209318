package geocode

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/option"

	"ingestion.internal/shared/geo"
)

// start returns a client of a server that answers every request with handler.
func start(t *testing.T, timeout time.Duration, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	client, err := New(t.Context(), server.URL, timeout, option.WithHTTPClient(server.Client()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

const rodeoDrive = `{"results": [{"place": "//places.googleapis.com/places/p1", "placeId": "p1", "granularity": "ROOFTOP",
	"location": {"latitude": 34.0674, "longitude": -118.4012}, "formattedAddress": "270 N Rodeo Dr, Beverly Hills, CA 90210, USA",
	"postalAddress": {"regionCode": "US", "postalCode": "90210-5119", "locality": "Beverly Hills"}, "types": ["street_address"], "later": {}}]}`

// TestLocate reads answers in the shape of the reference: GeocodeAddressResponse
// and GeocodeResult, developers.google.com/maps/documentation/geocoding/reference/rest/v4/GeocodeResult.
func TestLocate(t *testing.T) {
	t.Parallel()
	point := geo.Point{Lat: 34.0674, Lng: -118.4012}
	at := `"location": {"latitude": 34.0674, "longitude": -118.4012}`
	for name, tc := range map[string]struct {
		status  int
		body    string
		want    *geo.Place
		wantErr string
	}{
		"rooftop":        {200, rodeoDrive, &geo.Place{Point: point, PostalCode: "90210-5119"}, ""},
		"interpolated":   {200, `{"results": [{"granularity": "RANGE_INTERPOLATED", ` + at + `}]}`, &geo.Place{Point: point}, ""},
		"street":         {200, `{"results": [{"granularity": 3, ` + at + `}]}`, &geo.Place{Point: point}, ""},
		"town":           {200, `{"results": [{"granularity": "APPROXIMATE", ` + at + `}]}`, &geo.Place{Point: point, Rough: true}, ""},
		"no_granularity": {200, `{"results": [{` + at + `}]}`, &geo.Place{Point: point, Rough: true}, ""},
		"two_fit": {200, `{"results": [{"granularity": "ROOFTOP", ` + at + `}, {"granularity": "ROOFTOP", "location": {"latitude": 1}}]}`,
			&geo.Place{Point: point, Rough: true}, ""},
		"nothing":     {200, `{}`, nil, ErrUnknown.Error()},
		"no_location": {200, `{"results": [{"granularity": "ROOFTOP"}]}`, nil, "the geocoder answered without a location"},
		"off_earth":   {200, `{"results": [{"granularity": "ROOFTOP", "location": {"latitude": 91}}]}`, nil, "the geocoder answered without a location"},
		"denied":      {403, `{"error": {"code": 403, "message": "Geocoding API has not been used in project 1", "status": "PERMISSION_DENIED"}}`, nil, "the geocoder answered 403"},
		"bad_request": {400, `{"error": {"code": 400, "message": "address 1 Main St", "status": "INVALID_ARGUMENT"}}`, nil, "the geocoder answered 400"},
		"quota":       {429, `{"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}}`, nil, "the geocoder answered 429"},
		"no_json":     {200, `<html>`, nil, "the geocoder gave an answer that could not be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := start(t, 10*time.Second, answer(tc.status, tc.body)).Locate(t.Context(), "1 Main St")
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("place (-want +got):\n%s", diff)
			}
			if err == nil && tc.wantErr != "" || err != nil && err.Error() != tc.wantErr {
				t.Errorf("error %v, want %q", err, tc.wantErr)
			}
		})
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	seen := make(chan *http.Request, 1)
	c := start(t, 10*time.Second, func(w http.ResponseWriter, r *http.Request) {
		seen <- r
		answer(200, rodeoDrive)(w, r)
	})
	if _, err := c.Locate(t.Context(), " 270 N Rodeo Dr,\n Beverly  Hills\xff "); err != nil {
		t.Fatal(err)
	}
	r := <-seen
	got := map[string]string{"method": r.Method, "path": r.URL.Path}
	for _, name := range []string{"addressQuery", "languageCode", "regionCode"} {
		got[name] = r.URL.Query().Get(name)
	}
	want := map[string]string{"method": "GET", "path": "/v4/geocode/address", "addressQuery": "270 N Rodeo Dr, Beverly Hills", "languageCode": "en", "regionCode": "US"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestNothingToAskFor(t *testing.T) {
	t.Parallel()
	c := start(t, time.Second, func(http.ResponseWriter, *http.Request) { t.Error("the API was asked") })
	for _, address := range []string{"", " \n", "\xff", strings.Repeat("x", maxAddress+1)} {
		if _, err := c.Locate(t.Context(), address); !errors.Is(err, ErrUnknown) {
			t.Errorf("Locate(%.20q): %v, want ErrUnknown", address, err)
		}
	}
	if _, err := New(t.Context(), "", 0); err == nil {
		t.Error("a client without a timeout was made")
	}
}

// TestErrorsAreInTimeAndPrivate: a look-up ends with its timeout, and no error
// shows the customer's address.
func TestErrorsAreInTimeAndPrivate(t *testing.T) {
	t.Parallel()
	const address = "12 Secret Lane"
	hang := start(t, 50*time.Millisecond, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	_, err := hang.Locate(t.Context(), address)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer: %v, want the deadline's error", err)
	}
	errs := []error{err}
	away := start(t, 50*time.Millisecond, answer(503, `{"error": {"code": 503, "message": "12 Secret Lane", "status": "UNAVAILABLE"}}`))
	_, err = away.Locate(t.Context(), address) // retried until the timeout
	errs = append(errs, err)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	unreachable, err := New(t.Context(), closed.URL, time.Second, option.WithHTTPClient(http.DefaultClient))
	if err != nil {
		t.Fatal(err)
	}
	_, err = unreachable.Locate(t.Context(), address)
	for _, err := range append(errs, err) {
		if err == nil || strings.Contains(err.Error(), "Secret") {
			t.Errorf("error %v", err)
		}
	}
}
