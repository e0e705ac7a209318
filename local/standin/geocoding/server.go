// Package geocoding is a small Google Maps Geocoding API (version 4): the
// geocoding of addresses, on its REST protocol. It has no map. It knows where
// ZIP codes are and a few towns, and places an address at its ZIP code or its
// town, so that what comes out depends on what went in and is the same every
// time.
//
// Served paths:
//
//	GET /v4/geocode/address?addressQuery=...
//	GET, PUT, DELETE /faults                       see package fault
//
// Precision follows from the address as it would there: one with a number is at
// its roof, a street at its middle, a town or a ZIP code only somewhere in it.
// A town's name without its state gives every town of that name.
package geocoding

import (
	"net/http"
	"regexp"
	"strings"

	"ingestion.internal/local/cloud"
	"ingestion.internal/local/standin/fault"
	"ingestion.internal/local/standin/internal/gapi"
	"ingestion.internal/shared/geo"
)

// Config is what a Server needs.
type Config struct {
	Identity cloud.Identity
}

// Server is the stand-in. Its methods may be called at the same time.
type Server struct {
	Faults *fault.Injector

	identity cloud.Identity
	handler  http.Handler
}

// New returns a server.
func New(cfg Config) *Server {
	s := &Server{identity: cfg.Identity}
	s.Faults = fault.New(fault.Shape{Error: gapi.WriteStatus, Nonsense: func(w http.ResponseWriter, _ *http.Request) {
		gapi.WriteJSON(w, http.StatusOK, map[string]any{"results": []any{map[string]any{"granularity": "ROOFTOP"}}})
	}})
	mux := http.NewServeMux()
	mux.Handle("/", s.Faults.Middleware(http.HandlerFunc(s.route)))
	mux.Handle("/faults", s.Faults)
	s.handler = mux
	return s
}

// ServeHTTP serves the API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || r.URL.Path != "/v4/geocode/address" {
		gapi.WriteStatus(w, http.StatusNotFound, "The requested URL "+r.URL.Path+" was not found on this server.")
		return
	}
	// Maps APIs have no IAM permissions of their own: any account of a project
	// that has the API enabled may ask.
	if _, err := s.identity.Caller(r); err != nil {
		gapi.WriteStatus(w, http.StatusUnauthorized, "Request had invalid authentication credentials: "+err.Error())
		return
	}
	query := strings.TrimSpace(r.URL.Query().Get("addressQuery"))
	if query == "" {
		gapi.WriteStatus(w, http.StatusBadRequest, "address_query or address must be specified.")
		return
	}
	gapi.WriteJSON(w, http.StatusOK, response{Results: locate(query)})
}

// response is GeocodeAddressResponse, result the used part of GeocodeResult.
type response struct {
	Results []result `json:"results,omitempty"`
}

type result struct {
	Place            string        `json:"place"`
	PlaceID          string        `json:"placeId"`
	Location         location      `json:"location"`
	Granularity      string        `json:"granularity"`
	FormattedAddress string        `json:"formattedAddress"`
	PostalAddress    postalAddress `json:"postalAddress"`
	Types            []string      `json:"types"`
}

type location struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
}

type postalAddress struct {
	RegionCode         string `json:"regionCode"`
	PostalCode         string `json:"postalCode,omitempty"`
	AdministrativeArea string `json:"administrativeArea,omitempty"`
	Locality           string `json:"locality,omitempty"`
}

// town is a town that is known without a ZIP code.
type town struct {
	name, state, country, postal string
	at                           geo.Point
}

// towns have places of the sample tenants and some far away. Their locations
// are those of the Census Bureau's ZIP code areas; Toronto's is common knowledge.
var towns = []town{
	{"Beverly Hills", "CA", "US", "90210", geo.Point{}},
	{"Los Angeles", "CA", "US", "90012", geo.Point{}},
	{"San Diego", "CA", "US", "92101", geo.Point{}},
	{"Denver", "CO", "US", "80202", geo.Point{}},
	{"Boulder", "CO", "US", "80302", geo.Point{}},
	{"New York", "NY", "US", "10001", geo.Point{}},
	{"Rochester", "NY", "US", "14604", geo.Point{}},
	{"Springfield", "IL", "US", "62701", geo.Point{}},
	{"Springfield", "MA", "US", "01103", geo.Point{}},
	{"Toronto", "ON", "CA", "M5V 2T6", geo.Point{Lat: 43.6426, Lng: -79.3871}},
}

var (
	zipCode = regexp.MustCompile(`\b([0-9]{5})(?:-[0-9]{4})?\b`)
	house   = regexp.MustCompile(`^[0-9]+[A-Za-z]?\s+\S+`)
	street  = regexp.MustCompile(`(?i)\b(street|st|avenue|ave|drive|dr|road|rd|lane|ln|boulevard|blvd|way|court|ct)\b`)
)

// locate finds every place that the address fits.
func locate(query string) []result {
	precision, kind := "APPROXIMATE", "locality"
	switch {
	case house.MatchString(query):
		precision, kind = "ROOFTOP", "street_address"
	case street.MatchString(query):
		precision, kind = "GEOMETRIC_CENTER", "route"
	}
	// The last such number: the first may be a house's.
	if all := zipCode.FindAllStringSubmatchIndex(query, -1); len(all) > 0 {
		at := all[len(all)-1]
		zip := query[at[2]:at[3]]
		if point, ok := geo.Lookup(zip); ok {
			if strings.TrimSpace(query[:at[0]]) == "" {
				precision, kind = "APPROXIMATE", "postal_code"
			}
			return []result{newResult(query+", USA", precision, kind, point, postalAddress{RegionCode: "US", PostalCode: zip})}
		}
	}
	var results []result
	text := " " + strings.NewReplacer(",", " ", ".", " ").Replace(strings.ToLower(query)) + " "
	text = strings.Join(strings.Fields(text), " ") + " "
	for _, t := range towns {
		before, after, ok := strings.Cut(text, strings.ToLower(t.name)+" ")
		if !ok || before != "" && !strings.HasSuffix(before, " ") {
			continue
		}
		point := t.at
		if point == (geo.Point{}) {
			point, _ = geo.Lookup(t.postal)
		}
		r := newResult(query+", "+t.state, precision, kind, point,
			postalAddress{RegionCode: t.country, AdministrativeArea: t.state, Locality: t.name})
		if precision == "ROOFTOP" {
			r.PostalAddress.PostalCode = t.postal // a town has many, a house one
		}
		if strings.HasPrefix(after, strings.ToLower(t.state)+" ") {
			return []result{r}
		}
		results = append(results, r)
	}
	return results
}

func newResult(address, precision, kind string, at geo.Point, postal postalAddress) result {
	id := "local-" + strings.ToLower(strings.Join(strings.Fields(postal.RegionCode+" "+postal.AdministrativeArea+" "+postal.Locality+" "+postal.PostalCode), "-"))
	return result{
		Place: "//places.googleapis.com/places/" + id, PlaceID: id,
		Location:    location{at.Lat, at.Lng},
		Granularity: precision, FormattedAddress: address, PostalAddress: postal, Types: []string{kind},
	}
}
