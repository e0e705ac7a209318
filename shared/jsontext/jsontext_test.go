package jsontext

import (
	"strings"
	"testing"
)

func TestCheckDepth(t *testing.T) {
	t.Parallel()
	for text, deep := range map[string]bool{
		`{"a":[1]}`:            false,
		`{"a":[[1]]}`:          true,
		`{"a":"[[[["}`:         false,
		`{"a":"\"[[[[","b":1}`: false,
		`[],[],[]`:             false,
		strings.Repeat("{", 9): true,
		"":                     false,
	} {
		if err := CheckDepth([]byte(text), 2); (err != nil) != deep {
			t.Errorf("%s: %v, want deep: %v", text, err, deep)
		}
	}
}

func TestCanonical(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{ \"b\": 1.50,\n\"a\": \"\\u0041\" }":                                `{"a":"A","b":1.5}`,
		`[9007199254740993, -123456789012345678901234567890, 1e2, 100.0, -0]`: `[9007199254740993,-123456789012345678901234567890,100,100,-0]`,
		`{"a": 1e400}`: `{"a":1e400}`,
		`{"a": 1} x`:   `{"a": 1} x`,
		"nonsense":     "nonsense",
		"":             "",
	} {
		if got := string(Canonical([]byte(text))); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
