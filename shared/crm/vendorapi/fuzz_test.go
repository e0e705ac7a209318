package vendorapi

import (
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// A vendor's words are bounded text of one line, and a wait is never negative.
func FuzzClean(f *testing.F) {
	f.Add("a\nb\x00\xff", "120")
	f.Add("", "Fri, 31 Dec 1999 23:59:59 GMT")
	f.Add("<html>", "-1")
	f.Add("", "99999999999999999999")
	f.Fuzz(func(t *testing.T, words, retryAfter string) {
		clean := Clean(words)
		if !utf8.ValidString(clean) || utf8.RuneCountInString(clean) > 600 {
			t.Errorf("%q became %q", words, clean)
		}
		for _, r := range clean {
			if unicode.IsControl(r) {
				t.Errorf("%q became %q", words, clean)
			}
		}
		if wait := ParseRetryAfter(retryAfter, time.Unix(1767225600, 0)); wait < 0 {
			t.Errorf("%q is %v", retryAfter, wait)
		}
	})
}
