package geocoding

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"google.golang.org/api/option"

	"ingestion.internal/local/standin/fault"
	"ingestion.internal/local/standin/internal/gapitest"
	"ingestion.internal/shared/geo"
	"ingestion.internal/shared/geocode"
)

// start returns the stand-in and the platform's own client of it.
func start(t *testing.T, timeout time.Duration) (*Server, *geocode.Client) {
	t.Helper()
	s := New(Config{Identity: gapitest.Identity{}})
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	client, err := geocode.New(t.Context(), server.URL, timeout,
		option.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "workflow-engine"})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return s, client
}

func TestLocate(t *testing.T) {
	t.Parallel()
	_, client := start(t, 10*time.Second)
	for address, want := range map[string]struct {
		near   string // a ZIP code whose place it is
		postal string
		rough  bool
	}{
		"270 N Rodeo Dr, Beverly Hills, CA 90210": {"90210", "90210", false},
		"12345 Main Street, 80302-1234":           {"80302", "80302", false}, // the house's number is no ZIP code
		"270 N Rodeo Drive, Beverly Hills":        {"90210", "90210", false},
		"Rodeo Drive, Beverly Hills, CA":          {"90210", "", false},
		"Beverly Hills":                           {"90210", "", true},
		"somewhere in Denver, CO.":                {"80202", "", true},
		"90210":                                   {"90210", "90210", true},
		"Springfield":                             {"62701", "", true}, // two of them
		"1 Main St, Springfield, MA":              {"01103", "01103", false},
	} {
		got, err := client.Locate(t.Context(), address)
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		point, ok := geo.Lookup(want.near)
		if !ok || geo.Miles(point, got.Point) > 0.1 || got.PostalCode != want.postal || got.Rough != want.rough {
			t.Errorf("%s: %+v, want near %s", address, got, want.near)
		}
	}
	toronto, err := client.Locate(t.Context(), "290 Bremner Blvd, Toronto ON")
	if err != nil || math.Abs(toronto.Point.Lat-43.64) > 0.1 || toronto.PostalCode != "M5V 2T6" {
		t.Errorf("Toronto: %+v, %v", toronto, err)
	}
	for _, address := range []string{"the old mill", "00000", "Newyork"} {
		if got, err := client.Locate(t.Context(), address); !errors.Is(err, geocode.ErrUnknown) {
			t.Errorf("%s: %+v, %v", address, got, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(New(Config{Identity: gapitest.Identity{}}))
	t.Cleanup(server.Close)
	for name, tc := range map[string]struct {
		method, path, token string
		want                int
	}{
		"no_token":   {"GET", "/v4/geocode/address?addressQuery=x", "", http.StatusUnauthorized},
		"no_address": {"GET", "/v4/geocode/address", "me", http.StatusBadRequest},
		"method":     {"POST", "/v4/geocode/address", "me", http.StatusNotFound},
		"path":       {"GET", "/maps/api/geocode/json", "me", http.StatusNotFound},
	} {
		request, err := http.NewRequestWithContext(t.Context(), tc.method, server.URL+tc.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if tc.token != "" {
			request.Header.Set("Authorization", "Bearer "+tc.token)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != tc.want {
			t.Errorf("%s: %d, want %d", name, response.StatusCode, tc.want)
		}
	}
}

// TestFaults: what the stand-in does wrong on command reaches the client as an
// error of its own, and never as a place.
func TestFaults(t *testing.T) {
	t.Parallel()
	for mode, want := range map[fault.Mode]string{
		fault.Fail:      "the geocoder did not answer in time", // 503s are retried until then
		fault.RateLimit: "the geocoder answered 429",
		fault.Stall:     "the geocoder did not answer in time",
		fault.Nonsense:  "the geocoder answered without a location",
	} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			s, client := start(t, 300*time.Millisecond)
			if err := s.Faults.Set(fault.Fault{Mode: mode}); err != nil {
				t.Fatal(err)
			}
			got, err := client.Locate(context.Background(), "90210")
			if got != nil || err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%v, %v, want %s", got, err, want)
			}
		})
	}
}
