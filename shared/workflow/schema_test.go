package workflow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"

	"ingestion.internal/shared/crm"
)

// published is the schema as a general validator reads it: what an editor
// would say about a document.
func published(tb testing.TB) *jsonschema.Resolved {
	tb.Helper()
	var s jsonschema.Schema
	if err := json.Unmarshal(Schema, &s); err != nil {
		tb.Fatal(err)
	}
	resolved, err := s.Resolve(&jsonschema.ResolveOptions{ValidateDefaults: true})
	if err != nil {
		tb.Fatal(err)
	}
	return resolved
}

// TestSchemaDescribesConfig walks Config and the schema together: the same
// fields, each explained, with the default that Default has.
func TestSchemaDescribesConfig(t *testing.T) {
	t.Parallel()
	var leaves int
	var walk func(path string, v reflect.Value, n *node)
	walk = func(path string, v reflect.Value, n *node) {
		if n.Title == "" || n.Description == "" {
			t.Errorf("%s has no title or no description", path)
		}
		if v.Kind() != reflect.Struct {
			leaves++
			want, err := json.Marshal(v.Interface())
			if err != nil {
				t.Fatal(err)
			}
			if got, err := json.Marshal(n.Default); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: the schema's default is %s, Default has %s", path, got, want)
			}
			for _, example := range n.Examples {
				if !n.valid(example) {
					t.Errorf("%s: example %v is not valid", path, example)
				}
			}
			return
		}
		if n.AdditionalProperties == nil || n.AdditionalProperties.schema != nil {
			t.Errorf("%s: additionalProperties must be false", path)
		}
		var fields []string
		for i := range v.NumField() {
			name := v.Type().Field(i).Tag.Get("json")
			fields = append(fields, name)
			property, ok := n.Properties[name]
			if !ok {
				t.Errorf("%s.%s is not in the schema", path, name)
				continue
			}
			walk(path+"."+name, v.Field(i), property)
		}
		for name := range n.Properties {
			if !slices.Contains(fields, name) {
				t.Errorf("%s.%s is in the schema and not in Config", path, name)
			}
		}
	}
	walk("workflow_config", reflect.ValueOf(Default()), root.fields())
	if leaves != 19 {
		t.Errorf("the configuration has %d fields; the owner's description has 19", leaves)
	}
}

func TestSchemaKnowsTheProviders(t *testing.T) {
	t.Parallel()
	provider := root.fields().Properties["crm_integration"].Properties["provider"]
	if diff := cmp.Diff(append([]string{""}, crm.Providers()...), provider.Enum); diff != "" {
		t.Errorf("providers with a schema, and those that can be configured (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(crm.Providers(), Providers); diff != "" {
		t.Errorf("Providers (-want +got):\n%s", diff)
	}
}

// pool has values that each field is tried with: right ones, wrong ones and
// those at the edges.
var pool = func() []any {
	var values []any
	for _, text := range []string{
		`null`, `true`, `false`, `0`, `1`, `-1`, `30`, `75`, `75.5`, `100`, `100.0`, `101`, `499.5`, `500`, `500.01`, `1e9`,
		`""`, `" "`, `"zip_code"`, `"geocode"`, `"radius"`, `"90210"`, `"M5V"`, `"hubspot"`, `"salesforce"`, `"excel"`,
		`"gemini-3.5-flash-lite"`, `"Gemini"`, `"../x"`, `"a@b.example"`, `"a@b"`, `"A <a@b.example>"`,
		`[]`, `[""]`, `["90210"]`, `["90210", "90210"]`, `["90210", "M5V"]`, `["M5V"]`, `["m5v"]`, `["D5V"]`, `["9021"]`, `[90210]`, `[null]`,
		`["a@b.example"]`, `["a@b.example", "c@b.example"]`, `["a..b@c.example"]`, `["a@b.example\n"]`, `["ä@b.example"]`,
		`{}`, `{"": "x"}`, `{"name": "firstname"}`, `{"name": " "}`, `{"name": 1}`, `{"enabled": true}`, `{"more": 1}`,
	} {
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			panic(err)
		}
		values = append(values, value)
	}
	var areas, people []any
	for i := range 51 {
		people = append(people, fmt.Sprintf("p%d@b.example", i))
	}
	for i := range 20_001 {
		areas = append(areas, fmt.Sprintf("%05d", i))
	}
	mapping := map[string]any{}
	for i := range 201 {
		mapping[fmt.Sprintf("=%d", i)] = "x"
	}
	return append(values, people, people[:50], areas[:100], mapping, "a"+strings.Repeat("b", 63), "a"+strings.Repeat("b", 64))
}()

// randomDocument fills some of the fields of n with values that often fit.
func randomDocument(r *rand.Rand, n *node) any {
	object := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(n.Properties)) {
		property := n.Properties[key]
		switch p := r.Float64(); {
		case p < 0.4:
		case len(property.Properties) > 0 && p < 0.97:
			object[key] = randomDocument(r, property)
		case p < 0.75:
			// One that fits, if the pool has it.
			for range 100 {
				if value := pool[r.IntN(len(pool))]; property.valid(value) {
					object[key] = value
					break
				}
			}
		default:
			object[key] = pool[r.IntN(len(pool))]
		}
	}
	if r.Float64() < 0.02 {
		object["unknown"] = true
	}
	return object
}

// agree fails if Merge and the published schema do not say the same about a
// document.
func agree(tb testing.TB, schema *jsonschema.Resolved, document map[string]any) bool {
	tb.Helper()
	_, got := Merge(Default(), document, "w")
	want := schema.Validate(document)
	if (got == nil) != (want == nil) {
		text, err := json.Marshal(document)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Fatalf("%.2000s\nMerge says:  %v\nthe schema says: %v", text, got, want)
	}
	return got == nil
}

// TestMergeAgreesWithSchema shows that what Merge accepts over the defaults is
// exactly what the published schema accepts: first every field with every
// value of the pool, alone and with everything switched on, then documents at
// random.
func TestMergeAgreesWithSchema(t *testing.T) {
	t.Parallel()
	schema := published(t)
	accepted, refused := 0, 0
	count := func(document map[string]any) {
		if agree(t, schema, document) {
			accepted++
		} else {
			refused++
		}
	}
	var each func(n *node, wrap func(any) map[string]any)
	each = func(n *node, wrap func(any) map[string]any) {
		for _, value := range pool {
			count(wrap(value))
		}
		for key, property := range n.Properties {
			each(property, func(value any) map[string]any { return wrap(map[string]any{key: value}) })
		}
	}
	for key, property := range root.fields().Properties {
		each(property, func(value any) map[string]any { return map[string]any{key: value} })
		each(property, func(value any) map[string]any {
			document := map[string]any{
				"service_area":        map[string]any{"enabled": true, "allowed_areas": []any{"90210"}, "buffer_miles": 5.0},
				"crm_integration":     map[string]any{"enabled": true, "provider": "hubspot"},
				"email_notifications": map[string]any{"enabled": true, "recipients": []any{"a@b.example"}},
			}
			inner, okInner := value.(map[string]any)
			outer, okOuter := document[key].(map[string]any)
			if !okInner || !okOuter {
				document[key] = value
				return document
			}
			maps.Copy(outer, inner)
			return document
		})
	}
	if accepted < 100 || refused < 1000 {
		t.Errorf("one field at a time: %d accepted, %d refused", accepted, refused)
	}
	accepted, refused = 0, 0
	r := rand.New(rand.NewPCG(7, 8))
	for range 5000 {
		count(randomDocument(r, root.fields()).(map[string]any))
	}
	if accepted < 300 || refused < 300 {
		t.Errorf("at random: %d accepted, %d refused: the documents prove little", accepted, refused)
	}
}

func FuzzMergeAgreesWithSchema(f *testing.F) {
	schema := published(f)
	f.Add([]byte(ownersConfig))
	f.Add([]byte(`{"service_area": {"enabled": true, "allowed_areas": ["M5V"], "buffer_miles": 0.5}}`))
	f.Add([]byte(`{"email_notifications": {"recipients": ["a@b.example", "a@b"]}}`))
	f.Add([]byte(`{"validation": {"spam_detection": {"confidence_threshold": 75.0}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var document map[string]any
		if json.Unmarshal(data, &document) != nil || document == nil {
			return
		}
		agree(t, schema, document)
	})
}

// TestSchemaIsWholeHere shows that no keyword of the file is without effect in
// this package, and that a broken file is noticed.
func TestSchemaIsWholeHere(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"unknown_keyword":    `{"multipleOf": 3}`,
		"in_a_property":      `{"properties": {"a": {"format": "email"}}}`,
		"in_values":          `{"additionalProperties": {"format": "email"}}`,
		"pattern":            `{"items": {"pattern": "("}}`,
		"missing_definition": `{"$ref": "#/$defs/more"}`,
		"not_json":           `{`,
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: %s was accepted", name, text)
				}
			}()
			mustSchema([]byte(text))
		}()
	}
}

// TestWordsOfUnusedCombinations checks the messages that the schema of today
// gives in no case, so that a later one is not met by an empty sentence.
func TestWordsOfUnusedCombinations(t *testing.T) {
	t.Parallel()
	for text, values := range map[string]map[string]string{
		`{"minimum": 2}`:                    {"1": "w: must be at least 2, not 1", "2": ""},
		`{"maximum": 2}`:                    {"3": "w: must be at most 2, not 3", "2": ""},
		`{"exclusiveMinimum": 2}`:           {"2": "w: must be more than 2, not 2", "3": ""},
		`{"const": true}`:                   {"false": "w: must be true, not false", "true": ""},
		`{"minItems": 2}`:                   {"[1]": "w: has 1 entries; at least 2"},
		`{"contains": {"type": "string"}}`:  {"[1]": "w: lacks an entry that it needs", `[1, "x"]`: ""},
		`{"minLength": 1}`:                  {`""`: "w: must not be empty"},
		`{"maxLength": 2}`:                  {`"äöü"`: "w: has 3 characters; at most 2", `"äö"`: ""},
		`{"required": ["a"]}`:               {`{"b": 1}`: "w.a: is missing"},
		`{"type": "boolean"}`:               {`"x"`: `w: must be true or false, not the string "x"`},
		`{"maxProperties": 1}`:              {`{"a": 1, "b": 2}`: "w: has 2 entries; at most 1"},
		`{"type": "number", "enum": ["1"]}`: {"1": ""},
	} {
		n := mustSchema([]byte(text))
		for document, want := range values {
			var value any
			if err := json.Unmarshal([]byte(document), &value); err != nil {
				t.Fatal(err)
			}
			var got []string
			n.check(value, "w", func(path, format string, args ...any) { got = append(got, path+": "+fmt.Sprintf(format, args...)) })
			if strings.Join(got, "\n") != want {
				t.Errorf("%s of %s: %q, want %q", text, document, got, want)
			}
		}
	}
}

func TestDescribeWhatOnlyYAMLWrites(t *testing.T) {
	t.Parallel()
	for _, value := range []any{json.Number("x"), struct{}{}, uint(3)} {
		override := map[string]any{"service_area": map[string]any{"buffer_miles": value}}
		if _, err := Merge(Default(), override, "w"); err == nil || !strings.HasPrefix(err.Error(), "w.service_area.buffer_miles: must be a number, not ") {
			t.Errorf("%T: %v", value, err)
		}
	}
	for value, want := range map[any]float64{7: 7, int64(8): 8, json.Number("9.5"): 9.5, 10.5: 10.5} {
		got, err := Merge(Default(), map[string]any{"service_area": map[string]any{"buffer_miles": value}}, "w")
		if err != nil || got.ServiceArea.BufferMiles != want {
			t.Errorf("%T(%v): %v, %v", value, value, got.ServiceArea.BufferMiles, err)
		}
	}
}
