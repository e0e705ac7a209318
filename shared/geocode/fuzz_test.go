package geocode

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/api/option"

	"ingestion.internal/shared/wirefake"
)

// Whatever the geocoder answers, there is a place on earth or an error, which
// does not show the address.
func FuzzAnswers(f *testing.F) {
	const address = "270 N Rodeo Dr, Beverly Hills"
	f.Add(200, rodeoDrive)
	f.Add(200, `{"results":[{"location":{"latitude":"NaN","longitude":1e400}}]}`)
	f.Add(200, `{"results":[null,{}]}`)
	f.Add(403, `{"error":{"code":403,"message":"`+address+`","status":"PERMISSION_DENIED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo"}]}}`)
	f.Add(200, `[{}]`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 || status == http.StatusServiceUnavailable {
			t.Skip("no status of an answer, or one after which the client waits")
		}
		client, err := New(t.Context(), "https://geocode.example", time.Minute,
			option.WithHTTPClient(&http.Client{Transport: wirefake.Always{Status: status, Body: body}}))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		place, err := client.Locate(t.Context(), address)
		switch {
		case (err == nil) != (place != nil):
			t.Fatalf("%+v, %v", place, err)
		case err != nil && (strings.Contains(err.Error(), address) || err.Error() == "" || errors.Is(err, ErrUnknown) && status > 299):
			t.Errorf("status %d: %v", status, err)
		case err == nil && (!place.Point.Valid() || !utf8.ValidString(place.PostalCode) || status > 299):
			t.Errorf("status %d: %+v", status, place)
		}
	})
}
