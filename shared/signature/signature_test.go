package signature

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestSignature(t *testing.T) {
	t.Parallel()
	key, body, now := []byte("a key"), []byte(`{"a":1}`), time.Unix(1767225600, 0)
	// By another implementation: printf '1767225600.{"a":1}' | openssl dgst -sha256 -hmac 'a key'
	const known = "t=1767225600,v1=b252b4630267b515a67321ada33f46022ce7765022877b77722d1ec391b56130"
	if got := Sign(key, body, now); got != known {
		t.Errorf("%s, want %s", got, known)
	}
	_, mac, _ := strings.Cut(known, "v1=")
	for header, want := range map[string]string{
		known: "",
		"v0=x, v1=" + strings.Repeat("0", 64) + " , v1=" + mac + ",t=1767225600": "",
		Sign([]byte("other"), body, now):                                         "does not match",
		Sign(nil, body, now):                                                     "does not match",
		Sign(key, []byte(`{"a":2}`), now):                                        "does not match",
		"t=1767225601,v1=" + mac:                                                 "does not match",
		"t=1767225600,v1=" + mac[:62]:                                            "does not match",
		"t=1767225600":                                                           "does not match",
		"v1=" + mac:                                                              "has no time",
		"t=1767225600,t=1767225600,v1=" + mac:                                    "two times",
		"":                                                                       "has no time",
		Sign(key, body, now.Add(-Tolerance)):                                     "",
		Sign(key, body, now.Add(-Tolerance-1e9)):                                 "the signature is of",
		Sign(key, body, now.Add(Tolerance+1e9)):                                  "the signature is of",
	} {
		at, err := Verify(header, body, now, nil, []byte("another"), key)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", header, err, want)
		}
		if (err == nil) == at.IsZero() || err == nil && !strings.Contains(header, "t="+strconv.FormatInt(at.Unix(), 10)) {
			t.Errorf("%s: signed at %s, %v", header, at, err)
		}
	}
	if _, err := Verify(known, body, now); err == nil {
		t.Error("proven without a key")
	}
}

func FuzzVerify(f *testing.F) {
	now := time.Unix(1767225600, 0)
	f.Add(Sign([]byte("k"), []byte("b"), now))
	f.Add("t=,v1=,")
	good := Sign([]byte("k"), []byte("b"), now)
	_, mac, _ := strings.Cut(good, "v1=")
	f.Fuzz(func(t *testing.T, header string) {
		if _, err := Verify(header, []byte("b"), now, []byte("k")); err == nil && !strings.Contains(strings.ToLower(header), mac) {
			// Another time within the tolerance has another MAC, which only who
			// has the key can make.
			t.Errorf("forged: %q", header)
		}
	})
}
