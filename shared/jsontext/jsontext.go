// Package jsontext has what readers of strangers' JSON have in common.
package jsontext

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
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

// Canonical writes JSON in one way: sorted, without space between, whole numbers
// as they are and others as a double has them, where one does. What is no JSON
// stays as it is.
func Canonical(text []byte) []byte {
	value, err := decode(text)
	if err != nil {
		return text
	}
	canonical, err := json.Marshal(inOneWay(value))
	if err != nil {
		return text
	}
	return canonical
}

// Object reads a JSON object whose numbers keep all of their digits, as
// json.Number: whole numbers beyond 2^53 are ids, or times in nanoseconds, of
// which a double makes others.
func Object(text []byte) (map[string]any, error) {
	value, err := decode(text)
	object, ok := value.(map[string]any)
	if err != nil || !ok {
		return nil, errors.New("the text is not a JSON object")
	}
	return object, nil
}

func decode(text []byte) (value any, err error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the text goes on behind the JSON value")
	}
	return value, nil
}

// inOneWay has each number of the value written in one way.
func inOneWay(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, element := range v {
			v[key] = inOneWay(element)
		}
	case []any:
		for i, element := range v {
			v[i] = inOneWay(element)
		}
	case json.Number:
		if f, err := v.Float64(); err == nil && (strings.ContainsAny(v.String(), ".eE") || v == "-0") {
			return f
		}
	}
	return value
}
