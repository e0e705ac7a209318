// Package keyring says how the signing keys of a tenant's partners share one
// secret. Its value is a list of words between white space: "KEY" is CallRail's,
// "booking:KEY" one by which bookings are signed, and "form:KEY" one by which a
// site's server signs forms. A key has one purpose, so that
// who knows one partner's key can speak for no other; several of one purpose are
// all good, which is how a key is changed. A secret for each purpose would cost
// a tenant two more resources, and has the same reader.
package keyring

import (
	"bytes"
	"strings"
)

// Purpose is what a key proves.
type Purpose string

// The purposes. CallRail's keys have no label, as they had before there were
// others.
const (
	CallRail Purpose = ""
	Booking  Purpose = "booking"
	Form     Purpose = "form"
)

// labelled are the purposes that have a label.
var labelled = []Purpose{Booking, Form}

// Keys returns the secret's keys of the purpose, the one to sign with first.
func Keys(secret []byte, purpose Purpose) [][]byte {
	var keys [][]byte
	for _, word := range bytes.Fields(secret) {
		of, key := split(word)
		if of == purpose && len(key) > 0 {
			keys = append(keys, key)
		}
	}
	return keys
}

// Label writes a list of keys as those of the purpose.
func Label(list string, purpose Purpose) string {
	words := strings.Fields(list)
	if purpose != CallRail {
		for i, key := range words {
			words[i] = string(purpose) + ":" + key
		}
	}
	return strings.Join(words, "\n")
}

// IsLabelled tells whether a key of the list would be taken for one of another
// purpose.
func IsLabelled(list string) bool {
	for _, word := range strings.Fields(list) {
		if of, _ := split([]byte(word)); of != CallRail {
			return true
		}
	}
	return false
}

func split(word []byte) (Purpose, []byte) {
	for _, p := range labelled {
		if key, ok := bytes.CutPrefix(word, []byte(p+":")); ok {
			return p, key
		}
	}
	return CallRail, word
}
