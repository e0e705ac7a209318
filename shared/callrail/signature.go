// Package callrail reads what CallRail sends: the signature and the payload of
// its webhooks.
package callrail

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // CallRail's algorithm
	"encoding/base64"
	"strings"
)

// SignatureHeaders are the headers that may carry the signature: CallRail's
// own, and the one of the owner's description.
var SignatureHeaders = []string{"Signature", "X-Callrail-Signature"}

// Sign returns the signature of a body: base64(HMAC-SHA1(key, body)), the key
// taken as text.
// https://apidocs.callrail.com/#webhooks
func Sign(key, body []byte) string {
	return base64.StdEncoding.EncodeToString(sum(key, body))
}

// Verify tells whether one of the signatures is that of the body's bytes by one
// of the keys. The comparison takes the same time wherever signatures differ; an
// empty key verifies nothing. The body is read once for each key, however many
// signatures a stranger sends with it.
func Verify(signatures []string, body []byte, keys ...[]byte) bool {
	verified := false
	for _, key := range keys {
		want := sum(key, body)
		for _, signature := range signatures {
			given, err := base64.StdEncoding.DecodeString(strings.TrimSpace(signature))
			verified = err == nil && hmac.Equal(given, want) && len(key) > 0 || verified
		}
	}
	return verified
}

func sum(key, body []byte) []byte {
	mac := hmac.New(sha1.New, key)
	mac.Write(body)
	return mac.Sum(nil)
}
