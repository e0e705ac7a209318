package keyring

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// Every word is a key of one purpose at most, and what is labelled is read back.
func FuzzKeys(f *testing.F) {
	f.Add("k1\nbooking:k2 booking:\tk3")
	f.Add("booking:booking:x")
	f.Add("form:")
	f.Fuzz(func(t *testing.T, secret string) {
		words := bytes.Fields([]byte(secret))
		total := len(Keys([]byte(secret), CallRail))
		for _, p := range labelled {
			total += len(Keys([]byte(secret), p))
			if IsLabelled(secret) {
				continue
			}
			var got []string
			for _, key := range Keys([]byte(Label(secret, p)), p) {
				got = append(got, string(key))
			}
			if want := strings.Fields(secret); !slices.Equal(got, want) {
				t.Errorf("%q labelled %s is %q, want %q", secret, p, got, want)
			}
		}
		if total > len(words) {
			t.Errorf("%q has %d keys in %d words", secret, total, len(words))
		}
	})
}
