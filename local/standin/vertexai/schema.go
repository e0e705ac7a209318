package vertexai

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// schema is a response schema, in the OpenAPI form of responseSchema or the
// JSON Schema form of responseJsonSchema, as far as answers are made from it.
type schema struct {
	Type             schemaType         `json:"type"`
	Nullable         bool               `json:"nullable"`
	Enum             []any              `json:"enum"`
	Properties       map[string]*schema `json:"properties"`
	PropertyOrdering []string           `json:"propertyOrdering"`
	Items            *schema            `json:"items"`
	AnyOf            []*schema          `json:"anyOf"`
	MinItems         count              `json:"minItems"`
	MaxItems         *count             `json:"maxItems"`
	MaxLength        *count             `json:"maxLength"`
	Minimum          *float64           `json:"minimum"`
	Maximum          *float64           `json:"maximum"`
}

// count is an int64, which the API's JSON may write as a string.
type count int

func (c *count) UnmarshalJSON(data []byte) error {
	var n json.Number
	if err := json.Unmarshal([]byte(strings.Trim(string(data), `"`)), &n); err != nil {
		return err
	}
	i, err := n.Int64()
	*c = count(i)
	return err
}

// schemaType is the lower-case name of a type; of a JSON Schema list of types
// it is the first that is not null.
type schemaType string

func (t *schemaType) UnmarshalJSON(data []byte) error {
	var names []string
	if err := json.Unmarshal(data, &names); err != nil {
		names = []string{""}
		if err := json.Unmarshal(data, &names[0]); err != nil {
			return err
		}
	}
	for _, name := range names {
		if name = strings.ToLower(name); name != "null" {
			*t = schemaType(name)
			return nil
		}
	}
	return nil
}

// fill makes a value of the schema for the property of that path. What the
// lead knows under it goes in, brought to the schema's type, set and
// range; what it does not know becomes the type's neutral value.
func fill(s *schema, path []string, l lead) any {
	if s.Type == "" && len(s.AnyOf) > 0 {
		return fill(s.AnyOf[0], path, l)
	}
	known, ok := l.lookup(path)
	if len(s.Enum) > 0 {
		return choose(s, known)
	}
	switch s.Type {
	case "object", "":
		out := map[string]any{}
		for _, property := range slices.Sorted(maps.Keys(s.Properties)) {
			out[property] = fill(s.Properties[property], append(slices.Clone(path), property), l)
		}
		return ordered{out, s.PropertyOrdering}
	case "array":
		list, _ := known.([]string)
		out := []any{}
		if turns, ok := known.([]turn); ok && s.Items != nil {
			for _, t := range turns {
				l.item = map[string]any{"speaker": t.speaker, "text": t.text}
				out = append(out, fill(s.Items, nil, l))
			}
		}
		for _, item := range list {
			if s.Items == nil || s.Items.Type != "string" || len(s.Items.Enum) > 0 {
				break
			}
			out = append(out, cut(item, s.Items.MaxLength))
		}
		for s.Items != nil && len(out) < int(s.MinItems) {
			out = append(out, fill(s.Items, nil, l))
		}
		if s.MaxItems != nil && len(out) > int(*s.MaxItems) {
			out = out[:*s.MaxItems]
		}
		return out
	case "integer", "number":
		n, isNumber := known.(int)
		if !isNumber && s.Nullable {
			return nil
		}
		v := float64(n)
		if s.Minimum != nil {
			v = max(v, *s.Minimum)
		}
		if s.Maximum != nil {
			v = min(v, *s.Maximum)
		}
		return v
	case "boolean":
		b, _ := known.(bool)
		return b
	default:
		text, _ := known.(string)
		if list, isList := known.([]string); isList {
			text = strings.Join(list, " ")
		}
		if text == "" && s.Nullable || !ok && s.Nullable {
			return nil
		}
		return cut(text, s.MaxLength)
	}
}

// neutral are the enum values that claim nothing, the best first.
var neutral = []string{"unknown", "unspecified", "none", "other", "neutral", "general", "medium"}

// synonyms are other names that schemas give to the values of this package.
var synonyms = map[string][]string{
	"spam":             {"spam", "robocall", "solicitation", "sales"},
	"solicitation":     {"solicitation", "sales", "spam"},
	"quote_request":    {"quote_request", "quote", "estimate", "new_project", "lead"},
	"question":         {"question", "inquiry", "enquiry", "information"},
	"appointment":      {"appointment", "schedule", "scheduling", "booking"},
	"existing_project": {"existing_project", "support", "existing_customer"},
	"job_application":  {"job_application", "job", "employment"},
	"emergency":        {"emergency", "critical", "urgent", "high"},
	"high":             {"high", "urgent"},
	"medium":           {"medium", "normal"},
	"whole_home":       {"whole_home", "whole_house", "full_home", "home"},
	"roofing":          {"roofing", "roof"},
	"deck":             {"deck", "outdoor", "exterior"},
	"none":             {"none", "unknown", "other"},
}

// choose picks the enum's value for what is known, else its neutral value,
// else null where that is allowed, else its last one: lists end with the rest.
func choose(s *schema, known any) any {
	text, _ := known.(string)
	wanted := append([]string{text}, synonyms[text]...)
	for _, want := range append(wanted, neutral...) {
		for _, value := range s.Enum {
			if v, ok := value.(string); ok && want != "" && normal(v) == normal(want) {
				return v
			}
		}
	}
	if s.Nullable {
		return nil
	}
	return s.Enum[len(s.Enum)-1]
}

// normal reduces a name to its lower-case letters and digits.
func normal(name string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

func cut(text string, limit *count) string {
	if r := []rune(text); limit != nil && len(r) > int(*limit) {
		return string(r[:*limit])
	}
	return text
}

// ordered is an object whose first fields have an order, as Gemini keeps
// propertyOrdering.
type ordered struct {
	fields map[string]any
	order  []string
}

// MarshalJSON implements json.Marshaler.
func (o ordered) MarshalJSON() ([]byte, error) {
	names := slices.DeleteFunc(slices.Clone(o.order), func(n string) bool { _, ok := o.fields[n]; return !ok })
	for _, n := range slices.Sorted(maps.Keys(o.fields)) {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	out := []byte("{")
	for i, n := range names {
		if i > 0 {
			out = append(out, ',')
		}
		key, err := json.Marshal(n)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(o.fields[n])
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, key...), ':'), value...)
	}
	return append(out, '}'), nil
}
