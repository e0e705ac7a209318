// Package signature is how partners of a tenant sign what they send. It is the
// form of Stripe's, in a header that each channel names:
//
//	t=1767225600,v1=5257a869...
//
// t is when it was signed, in seconds since 1970, and v1 the hex HMAC-SHA256 of
// t, a full stop and the body. There may be several v1, of several keys; other
// names are not looked at. https://docs.stripe.com/webhooks#verify-manually
// (2026-11-25)
package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Tolerance is how far from now a signature's time may be.
const Tolerance = 5 * time.Minute

// Sign returns the header's value for a body that is sent at the time.
func Sign(key, body []byte, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	return "t=" + t + ",v1=" + hex.EncodeToString(sum(key, t, body))
}

// Verify returns when the body was signed, once the header proves by one of the
// keys that this was about now; otherwise the error tells why it does not. It
// compares in constant time; an empty key proves nothing.
//
// Nothing but the time and the body is proven, and within the Tolerance both can
// be sent again by whoever has read them. What is made of a body must not depend
// on anything else, and be the same each time.
func Verify(header string, body []byte, now time.Time, keys ...[]byte) (time.Time, error) {
	var at string
	var given [][]byte
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			if at != "" {
				return time.Time{}, errors.New("the signature has two times")
			}
			at = value
		case "v1":
			if mac, err := hex.DecodeString(value); err == nil && len(mac) == sha256.Size {
				given = append(given, mac)
			}
		}
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return time.Time{}, errors.New("the signature has no time")
	}
	verified := false
	for _, key := range keys {
		want := sum(key, at, body)
		for _, mac := range given {
			verified = hmac.Equal(mac, want) && len(key) > 0 || verified
		}
	}
	if !verified {
		return time.Time{}, errors.New("the signature does not match")
	}
	sent := time.Unix(seconds, 0)
	if now.Sub(sent).Abs() > Tolerance {
		return time.Time{}, fmt.Errorf("the signature is of %s", sent.UTC().Format(time.RFC3339))
	}
	return sent, nil
}

func sum(key []byte, at string, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(at + "."))
	mac.Write(body)
	return mac.Sum(nil)
}
