package analysis

import (
	"bytes"
	"embed"
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

// Prompts and schemas are never edited once they were used: results name the
// version that made them. A change is a new file.
//
//go:embed prompts schema
var files embed.FS

const schemaVersion = "analysis.v1"

// responseSchema is what the model is bound to and what its answer is checked
// against.
var responseSchema = mustSchema("schema/" + schemaVersion + ".json")

func mustSchema(name string) *genai.Schema {
	dec := json.NewDecoder(bytes.NewReader(mustRead(name)))
	dec.DisallowUnknownFields()
	var schema genai.Schema
	if err := dec.Decode(&schema); err != nil {
		panic(fmt.Sprintf("analysis: %s: %v", name, err)) // embedded: a test fails first
	}
	return &schema
}

func mustRead(name string) []byte {
	data, err := files.ReadFile(name)
	if err != nil {
		panic("analysis: " + err.Error())
	}
	return data
}

// maxAnswerBytes is far above what the schema allows in all.
const maxAnswerBytes = 64 << 10

// parse reads a model's answer. The error joins every violation of the schema,
// each with its path.
func parse(answer string) (*Result, error) {
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
	var violations []error
	check(responseSchema, value, "$", &violations)
	if len(violations) > 0 {
		return nil, errors.Join(violations...)
	}
	var result Result
	if err := json.Unmarshal([]byte(answer), &result); err != nil {
		return nil, fmt.Errorf("the answer does not fit: %w", err)
	}
	return &result, nil
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
