package jsontext

import (
	"bytes"
	"encoding/json"
	"testing"
)

// Of JSON, CheckDepth counts what a decoder counts; and writing JSON in one way
// changes neither what it says nor itself.
func FuzzDepth(f *testing.F) {
	for _, text := range []string{`{"a":[1,{"b":"[{\\\""}]}`, `[]`, `"\\"`, `[[[[[]]]]]`, `{`, "\xff"} {
		f.Add([]byte(text), 3)
	}
	f.Fuzz(func(t *testing.T, text []byte, limit int) {
		err := CheckDepth(text, limit)
		if !json.Valid(text) {
			return
		}
		depth, deepest := 0, 0
		for dec := json.NewDecoder(bytes.NewReader(text)); ; {
			token, tokenErr := dec.Token()
			if tokenErr != nil {
				break
			}
			switch token {
			case json.Delim('{'), json.Delim('['):
				depth++
				deepest = max(deepest, depth)
			case json.Delim('}'), json.Delim(']'):
				depth--
			}
		}
		if (err != nil) != (deepest > limit && deepest > 0) {
			t.Errorf("%q is %d deep, limit %d: %v", text, deepest, limit, err)
		}
		once := Canonical(text)
		if again := Canonical(once); !bytes.Equal(once, again) {
			t.Errorf("%q becomes %q, and that %q", text, once, again)
		}
	})
}
