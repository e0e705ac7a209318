// Package jsontext has what readers of strangers' JSON have in common.
package jsontext

import (
	"encoding/json"
	"errors"
)

// CheckDepth refuses a text that nests deeper than max levels, before anything
// recursive sees it. The text need not be JSON.
func CheckDepth(text []byte, max int) error {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > max {
				return errors.New("the body is nested too deeply")
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// Canonical writes JSON in one way: sorted, without space between, and numbers
// as a double has them. What is no JSON stays as it is.
func Canonical(text []byte) []byte {
	var value any
	if json.Unmarshal(text, &value) != nil {
		return text
	}
	canonical, err := json.Marshal(value)
	if err != nil {
		return text
	}
	return canonical
}
