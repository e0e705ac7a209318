package stack

import (
	"strings"
	"testing"
)

// TestGeocodingIsOptional: a stack that looks no addresses up neither enables
// the API nor tells the handler of it.
func TestGeocodingIsOptional(t *testing.T) {
	for name, want := range map[string]bool{"local": true, "prod": false} {
		text := inventory(mustRun(t, deployable(t, name)))
		for _, mark := range []string{apiGeocoding, "GEOCODING_ENABLED", "GEOCODING_TIMEOUT"} {
			if strings.Contains(text, mark) != want {
				t.Errorf("%s: %s is there: %t, want %t", name, mark, !want, want)
			}
		}
	}
}
