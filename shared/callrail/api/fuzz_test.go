package api

import (
	"strings"
	"testing"
)

// What CallRail's API answers is a call with an id and lengths that are none
// below zero, or refused.
func FuzzCall(f *testing.F) {
	f.Add(`{"id":"CAL1","duration":"13","recording_duration":8,"zip_code":90210,"recording":null}`)
	f.Add(`{"id":1,"duration":-1}`)
	f.Add(`{"id":"","duration":"1h1"}`)
	f.Add(`{"id":"1","duration":1e400}`)
	f.Fuzz(func(t *testing.T, body string) {
		call, err := parseCall([]byte(body))
		if err != nil {
			return
		}
		if strings.TrimSpace(call.ID) == "" || call.Duration < 0 || call.RecordingDuration < 0 {
			t.Errorf("%q is the call %+v", body, call)
		}
	})
}
