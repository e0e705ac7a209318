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

// Verify tells whether the signature is that of the body's bytes by one of the
// keys. The comparison takes the same time wherever signatures differ; an
// empty key verifies nothing.
func Verify(signature string, body []byte, keys ...[]byte) bool {
	given, err := base64.StdEncoding.DecodeString(strings.TrimSpace(signature))
	if err != nil || len(given) != sha1.Size {
		given = nil
	}
	verified := false
	for _, key := range keys {
		if hmac.Equal(given, sum(key, body)) && len(key) > 0 {
			verified = true
		}
	}
	return verified
}

func sum(key, body []byte) []byte {
	mac := hmac.New(sha1.New, key)
	mac.Write(body)
	return mac.Sum(nil)
}
