package workflow

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Schema is the published JSON Schema of workflow_config, draft 2020-12. It is
// the one place that says what a configuration may hold: editors complete by
// it, and [Merge] and [Parse] validate by it.
//
//go:embed workflow.schema.json
var Schema []byte

// root is the schema, read once.
var root = mustSchema(Schema)

// node is a schema, as far as workflow.schema.json makes use of the language.
// Unlike a general validator it reports every mistake, in words for the person
// who wrote the configuration. That it agrees with a general one about what is
// valid is tested.
//
// errorMessage and patternErrorMessage are what VS Code and the YAML language
// server show in place of words of their own.
type node struct {
	Schema      string `json:"$schema"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Default     any    `json:"default"`
	Examples    []any  `json:"examples"`

	Ref          string           `json:"$ref"`
	Defs         map[string]*node `json:"$defs"`
	AllOf        []*node          `json:"allOf"`
	If           *node            `json:"if"`
	Then         *node            `json:"then"`
	ErrorMessage string           `json:"errorMessage"`

	Type  string   `json:"type"`
	Const any      `json:"const"` // a boolean, where it is used at all
	Enum  []string `json:"enum"`

	Minimum          *float64 `json:"minimum"`
	Maximum          *float64 `json:"maximum"`
	ExclusiveMinimum *float64 `json:"exclusiveMinimum"`

	MinLength           *int   `json:"minLength"`
	MaxLength           *int   `json:"maxLength"`
	Pattern             string `json:"pattern"`
	PatternErrorMessage string `json:"patternErrorMessage"`

	Items       *node `json:"items"`
	MinItems    *int  `json:"minItems"`
	MaxItems    *int  `json:"maxItems"`
	UniqueItems bool  `json:"uniqueItems"`
	Contains    *node `json:"contains"`

	Properties           map[string]*node `json:"properties"`
	Required             []string         `json:"required"`
	AdditionalProperties *additional      `json:"additionalProperties"`
	PropertyNames        *node            `json:"propertyNames"`
	MaxProperties        *int             `json:"maxProperties"`

	pattern *regexp.Regexp
	target  *node // of Ref
}

// additional is additionalProperties: false, or a schema of their values.
type additional struct{ schema *node }

// UnmarshalJSON reads either form.
func (a *additional) UnmarshalJSON(data []byte) error {
	if string(data) == "false" {
		return nil
	}
	return decodeNode(data, &a.schema)
}

func decodeNode(data []byte, n **node) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	return dec.Decode(n)
}

// mustSchema reads the embedded schema. Keywords that node does not know are
// refused, so that none is written in the file and without effect here.
func mustSchema(data []byte) *node {
	var n *node
	err := decodeNode(data, &n)
	if err == nil {
		err = n.link(n)
	}
	if err != nil {
		panic("workflow: workflow.schema.json: " + err.Error()) // embedded: a test fails first
	}
	return n
}

// link compiles the patterns in n and finds what it refers to in root.
func (n *node) link(root *node) error {
	if n == nil {
		return nil
	}
	var err error
	if n.Pattern != "" {
		if n.pattern, err = regexp.Compile(n.Pattern); err != nil {
			return err
		}
	}
	if n.Ref != "" {
		name, _ := strings.CutPrefix(n.Ref, "#/$defs/")
		if n.target = root.Defs[name]; n.target == nil {
			return fmt.Errorf("there is no %s", n.Ref)
		}
	}
	children := slices.Concat(n.AllOf, []*node{n.If, n.Then, n.Items, n.Contains, n.PropertyNames},
		slices.Collect(maps.Values(n.Defs)), slices.Collect(maps.Values(n.Properties)))
	if n.AdditionalProperties != nil {
		children = append(children, n.AdditionalProperties.schema)
	}
	for _, child := range children {
		err = errors.Join(err, child.link(root))
	}
	return err
}

// fields is the schema with the properties of an object: n, or what it refers
// to.
func (n *node) fields() *node {
	if n.target != nil {
		return n.target
	}
	return n
}

// report takes a mistake and its place.
type report func(path, format string, args ...any)

// valid tells whether value satisfies n.
func (n *node) valid(value any) bool {
	ok := true
	n.check(value, "", func(string, string, ...any) { ok = false })
	return ok
}

// check reports everything in value that n does not allow.
func (n *node) check(value any, path string, fail report) {
	if n.target != nil {
		n.target.check(value, path, fail)
	}
	for _, part := range n.AllOf {
		part.check(value, path, fail)
	}
	if n.If != nil && n.If.valid(value) {
		n.Then.check(value, path, fail)
	}
	if n.ErrorMessage != "" {
		silent, message := fail, n.ErrorMessage
		fail = func(path, _ string, _ ...any) { silent(path, "%s", message) }
	}
	if !n.hasType(value) {
		fail(path, "must be %s, not %s", n.article(), describe(value))
		return
	}
	if want, ok := n.Const.(bool); ok && value != want {
		fail(path, "must be %t, not %s", want, describe(value))
	}
	switch v := value.(type) {
	case string:
		n.checkString(v, path, fail)
	case []any:
		n.checkList(v, path, fail)
	case map[string]any:
		n.checkObject(v, path, fail)
	default:
		if f, ok := number(v); ok {
			n.checkNumber(f, path, fail)
		}
	}
}

func (n *node) hasType(value any) bool {
	var ok bool
	switch n.Type {
	case "":
		return true
	case "boolean":
		_, ok = value.(bool)
	case "string":
		_, ok = value.(string)
	case "array":
		_, ok = value.([]any)
	case "object":
		_, ok = value.(map[string]any)
	case "number":
		_, ok = number(value)
	case "integer":
		var f float64
		f, ok = number(value)
		ok = ok && f == math.Trunc(f)
	}
	return ok
}

// article names n's type for a message.
func (n *node) article() string {
	switch n.Type {
	case "boolean":
		return "true or false"
	case "integer":
		return "a whole number"
	case "array":
		return "a list"
	case "object":
		return "an object"
	}
	return "a " + n.Type
}

func (n *node) checkNumber(f float64, path string, fail report) {
	switch {
	case n.Minimum != nil && n.Maximum != nil && (f < *n.Minimum || f > *n.Maximum):
		fail(path, "must be %g to %g, not %g", *n.Minimum, *n.Maximum, f)
	case n.Minimum != nil && f < *n.Minimum:
		fail(path, "must be at least %g, not %g", *n.Minimum, f)
	case n.Maximum != nil && f > *n.Maximum:
		fail(path, "must be at most %g, not %g", *n.Maximum, f)
	case n.ExclusiveMinimum != nil && f <= *n.ExclusiveMinimum:
		fail(path, "must be more than %g, not %g", *n.ExclusiveMinimum, f)
	}
}

func (n *node) checkString(s, path string, fail report) {
	if len(n.Enum) > 0 && !slices.Contains(n.Enum, s) {
		known := slices.DeleteFunc(slices.Clone(n.Enum), func(e string) bool { return e == "" })
		fail(path, "must be one of %s, not %.40q", strings.Join(known, ", "), s)
	}
	length := utf8.RuneCountInString(s)
	if n.MinLength != nil && length < *n.MinLength {
		fail(path, "must not be empty")
	}
	if n.MaxLength != nil && length > *n.MaxLength {
		fail(path, "has %d characters; at most %d", length, *n.MaxLength)
	}
	if n.pattern != nil && !n.pattern.MatchString(s) {
		fail(path, "%s, not %.80q", n.PatternErrorMessage, s)
	}
}

func (n *node) checkList(list []any, path string, fail report) {
	if n.MinItems != nil && len(list) < *n.MinItems {
		fail(path, "has %d entries; at least %d", len(list), *n.MinItems)
	}
	if n.MaxItems != nil && len(list) > *n.MaxItems {
		fail(path, "has %d entries; at most %d", len(list), *n.MaxItems)
	}
	if n.Contains != nil && !slices.ContainsFunc(list, n.Contains.valid) {
		fail(path, "lacks an entry that it needs")
	}
	seen := map[string]int{} // lists are of strings; other entries are errors already
	for i, item := range list {
		place := func() string { return fmt.Sprintf("%s[%d]", path, i) } // rarely needed, in lists that may be long
		if s, ok := item.(string); ok && n.UniqueItems {
			if first, ok := seen[s]; ok {
				fail(place(), "%.80q is already in the list, at [%d]", s, first)
				continue
			}
			seen[s] = i
		}
		if n.Items != nil && !n.Items.valid(item) {
			n.Items.check(item, place(), fail)
		}
	}
}

func (n *node) checkObject(object map[string]any, path string, fail report) {
	if n.MaxProperties != nil && len(object) > *n.MaxProperties {
		fail(path, "has %d entries; at most %d", len(object), *n.MaxProperties)
	}
	for _, name := range n.Required {
		if _, ok := object[name]; !ok {
			fail(path+"."+name, "is missing")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		place := path + "." + key
		if n.PropertyNames != nil && !n.PropertyNames.valid(key) {
			fail(path, "has an entry without a name")
			continue
		}
		if property, ok := n.Properties[key]; ok {
			property.check(object[key], place, fail)
			continue
		}
		switch {
		case n.AdditionalProperties == nil:
		case n.AdditionalProperties.schema != nil:
			n.AdditionalProperties.schema.check(object[key], place, fail)
		default:
			fail(place, "unknown field; known are %s", strings.Join(slices.Sorted(maps.Keys(n.Properties)), ", "))
		}
	}
}
