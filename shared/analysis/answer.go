package analysis

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"google.golang.org/genai"
)

// maxAnswerBytes is far above what the schema allows in all.
const maxAnswerBytes = 64 << 10

// parse reads a model's answer into out, a struct of the schema's fields. Texts
// and lists that are longer than the schema allows are cut, and characters that
// show nothing are left out; clipped has the paths of both. Addresses are written
// so that nobody can click them. The error joins
// every other violation of the schema, each with its path.
func parse(schema *genai.Schema, answer string, out any) (clipped []string, err error) {
	if len(answer) > maxAnswerBytes {
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxAnswerBytes)
	}
	if strings.TrimSpace(answer) == "" {
		return nil, errors.New("the answer is empty")
	}
	if !utf8.ValidString(answer) {
		return nil, errors.New("the answer is not UTF-8")
	}
	dec := json.NewDecoder(strings.NewReader(answer))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return nil, fmt.Errorf("the answer is not JSON: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the answer goes on after the JSON value")
	}
	value = clip(schema, value, "$", &clipped)
	var violations []error
	check(schema, value, "$", &violations)
	if len(violations) > 0 {
		return nil, errors.Join(violations...)
	}
	whole, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("the answer does not encode: %w", err)
	}
	if err := json.Unmarshal(whole, out); err != nil {
		return nil, fmt.Errorf("the answer does not fit: %w", err)
	}
	return clipped, nil
}

// clip returns value with what is too long for the schema cut to its bound, and
// with what cannot be seen left out. Numbers are left alone: a score out of
// range is a mistake about its meaning.
func clip(schema *genai.Schema, value any, path string, clipped *[]string) any {
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if property, ok := schema.Properties[name]; ok {
				v[name] = clip(property, v[name], path+"."+name, clipped)
			}
		}
	case []any:
		if schema.MaxItems != nil && int64(len(v)) > *schema.MaxItems {
			v = v[:*schema.MaxItems]
			*clipped = append(*clipped, path)
		}
		for i := range v {
			if schema.Items != nil {
				v[i] = clip(schema.Items, v[i], fmt.Sprintf("%s[%d]", path, i), clipped)
			}
		}
		return v
	case string:
		s := strings.TrimSpace(strings.Map(func(r rune) rune {
			if unicode.IsControl(r) && r != '\n' && r != '\t' || invisible(r) {
				return -1
			}
			return r
		}, v))
		// An address that a stranger wrote does not become a link in the mails
		// and records that are made of the answer.
		s = strings.ReplaceAll(s, "://", "[:]//")
		cut := s
		if schema.MaxLength != nil {
			cut = clipRunes(s, int(*schema.MaxLength))
		}
		if cut != strings.ReplaceAll(strings.TrimSpace(v), "://", "[:]//") {
			*clipped = append(*clipped, path)
		}
		return cut
	}
	return value
}

// check compares value with schema, as far as package analysis's schemas use
// it: types, required and known fields, enums, ranges, lengths.
func check(schema *genai.Schema, value any, path string, violations *[]error) {
	fail := func(format string, args ...any) {
		*violations = append(*violations, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
	}
	switch schema.Type {
	case genai.TypeObject:
		object, ok := value.(map[string]any)
		if !ok {
			fail("must be an object")
			return
		}
		for _, name := range schema.Required {
			if _, ok := object[name]; !ok {
				fail("%s is missing", name)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(object)) {
			property, ok := schema.Properties[name]
			if !ok {
				fail("%.40q is no field of the schema", name)
				continue
			}
			check(property, object[name], path+"."+name, violations)
		}
	case genai.TypeArray:
		list, ok := value.([]any)
		if !ok {
			fail("must be an array")
			return
		}
		if n := int64(len(list)); schema.MinItems != nil && n < *schema.MinItems || schema.MaxItems != nil && n > *schema.MaxItems {
			fail("has %d items, outside %d to %d", n, deref(schema.MinItems), deref(schema.MaxItems))
		}
		for i, item := range list {
			check(schema.Items, item, fmt.Sprintf("%s[%d]", path, i), violations)
		}
	case genai.TypeString:
		s, ok := value.(string)
		if !ok {
			fail("must be a string")
			return
		}
		if len(schema.Enum) > 0 && !slices.Contains(schema.Enum, s) {
			fail("%.40q is none of %s", s, strings.Join(schema.Enum, ", "))
		}
		if n := int64(utf8.RuneCountInString(s)); schema.MaxLength != nil && n > *schema.MaxLength {
			fail("has %d characters, more than %d", n, *schema.MaxLength)
		}
		if n := int64(utf8.RuneCountInString(strings.TrimSpace(s))); schema.MinLength != nil && n < *schema.MinLength {
			fail("has %d characters, fewer than %d", n, *schema.MinLength)
		}
		if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
			fail("has control characters")
		}
	case genai.TypeInteger:
		number, ok := value.(json.Number)
		if !ok {
			fail("must be a whole number")
			return
		}
		n, err := number.Int64() // also refuses 85.0: the result is read as an integer
		if err != nil {
			fail("%.40q is no whole number", number)
			return
		}
		if f := float64(n); schema.Minimum != nil && f < *schema.Minimum || schema.Maximum != nil && f > *schema.Maximum {
			fail("%d is outside %g to %g", n, orInf(schema.Minimum, -1), orInf(schema.Maximum, 1))
		}
	default:
		panic("analysis: the schema has type " + string(schema.Type) + " at " + path)
	}
}

func deref(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

func orInf(f *float64, sign int) float64 {
	if f == nil {
		return math.Inf(sign)
	}
	return *f
}
