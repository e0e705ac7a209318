// Package typefacts knows what the gcp provider's schema says of the types
// that the stacks register: which properties a type has, of what type each is,
// which are required, deprecated, or force a replacement. The provider's own
// schema file has tens of megabytes; facts.json has those types only.
//
// To add a type, or to follow a new version of the provider, give its schema to
//
//	go run ./infra/cmd/typefacts SCHEMA_FILE [TYPE...]
//
// which takes the named types in, brings the known ones up to date and prints
// what it did. The schema is what `pulumi package get-schema gcp@VERSION`
// prints for the version of the SDK in infra/go.mod.
package typefacts

import (
	"bytes"
	_ "embed" // facts.json
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
)

// HowToAdd tells, in a test's failure, what to do about a type without facts.
const HowToAdd = "add its facts: go run ./infra/cmd/typefacts SCHEMA_FILE TYPE (package infra/typefacts says where the file comes from)"

// Property is one input of a type.
//
// Its type is string, number, integer, boolean, any or asset, the name of an
// object type, or one of these behind [] (a list) or {} (a map of strings to
// it), any number of times.
type Property struct {
	Type       string
	Required   bool
	Replaces   bool // its change replaces the resource
	Deprecated bool
	Secret     bool // the provider marks it as secret
}

// Object is the properties of a resource's inputs, or of an object in them, by
// name.
type Object map[string]Property

// Facts are all that is known.
type Facts struct {
	Provider  string            `json:"provider"`  // version
	Resources map[string]Object `json:"resources"` // by type token
	Objects   map[string]Object `json:"objects"`   // by name in Property.Type
}

//go:embed facts.json
var embedded []byte

// Load returns the facts in facts.json.
var Load = sync.OnceValues(func() (*Facts, error) { return parse(embedded) })

func parse(text []byte) (*Facts, error) {
	f := &Facts{}
	if err := json.Unmarshal(text, f); err != nil {
		return nil, fmt.Errorf("facts.json: %w", err)
	}
	return f, nil
}

// flags are how a property's properties are written behind its type.
var flags = []struct {
	name  string
	field func(*Property) *bool
}{
	{"required", func(p *Property) *bool { return &p.Required }},
	{"replaces", func(p *Property) *bool { return &p.Replaces }},
	{"deprecated", func(p *Property) *bool { return &p.Deprecated }},
	{"secret", func(p *Property) *bool { return &p.Secret }},
}

// MarshalText writes a property on one line, such as "[]string required".
func (p Property) MarshalText() ([]byte, error) {
	text := p.Type
	for _, f := range flags {
		if *f.field(&p) {
			text += " " + f.name
		}
	}
	return []byte(text), nil
}

// UnmarshalText reads what MarshalText writes.
func (p *Property) UnmarshalText(text []byte) error {
	words := strings.Fields(string(text))
	if len(words) == 0 {
		return fmt.Errorf("a property without a type")
	}
	*p = Property{Type: words[0]}
words:
	for _, word := range words[1:] {
		for _, f := range flags {
			if f.name == word {
				*f.field(p) = true
				continue words
			}
		}
		return fmt.Errorf("%q of %q is no flag of a property", word, text)
	}
	return nil
}

// Check compares a resource's inputs, as plain values (string, float64, bool,
// []any, map[string]any), with its type. A nil value is one that is not known
// yet, and an asset is any value. It returns what is wrong, by path: a property
// that the type lacks, a required one that is missing, a value of another type.
// The second result lists the paths of deprecated properties that are set.
func (f *Facts) Check(token string, in map[string]any) (wrong, deprecated []string) {
	o, ok := f.Resources[token]
	if !ok {
		return []string{fmt.Sprintf("no facts of %s; %s", token, HowToAdd)}, nil
	}
	c := checker{facts: f}
	c.object("", o, in)
	return c.wrong, c.deprecated
}

type checker struct {
	facts             *Facts
	wrong, deprecated []string
}

func (c *checker) report(path, format string, args ...any) {
	c.wrong = append(c.wrong, path+": "+fmt.Sprintf(format, args...))
}

func (c *checker) object(path string, o Object, in map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(in)) {
		p, ok := o[name]
		at := strings.TrimPrefix(path+"."+name, ".")
		if !ok {
			c.report(at, "no such property")
			continue
		}
		if p.Deprecated {
			c.deprecated = append(c.deprecated, at)
		}
		c.value(at, p.Type, in[name])
	}
	for _, name := range slices.Sorted(maps.Keys(o)) {
		if _, ok := in[name]; !ok && o[name].Required {
			c.report(strings.TrimPrefix(path+"."+name, "."), "is required")
		}
	}
}

func (c *checker) value(path, typ string, v any) {
	if v == nil {
		return
	}
	if elem, ok := strings.CutPrefix(typ, "[]"); ok {
		list, ok := v.([]any)
		if !ok {
			c.report(path, "%T, want a list", v)
		}
		for i, item := range list {
			c.value(fmt.Sprintf("%s[%d]", path, i), elem, item)
		}
		return
	}
	if elem, ok := strings.CutPrefix(typ, "{}"); ok {
		m, ok := v.(map[string]any)
		if !ok {
			c.report(path, "%T, want a map", v)
		}
		for _, key := range slices.Sorted(maps.Keys(m)) {
			c.value(path+"."+key, elem, m[key])
		}
		return
	}
	ok := false
	switch typ {
	case "any", "asset":
		ok = true
	case "string":
		_, ok = v.(string)
	case "number":
		_, ok = v.(float64)
	case "integer":
		var n float64
		n, ok = v.(float64)
		ok = ok && n == math.Trunc(n)
	case "boolean":
		_, ok = v.(bool)
	default:
		o, known := c.facts.Objects[typ]
		if !known {
			c.report(path, "no facts of the object %s; %s", typ, HowToAdd)
			return
		}
		var m map[string]any
		if m, ok = v.(map[string]any); ok {
			c.object(path, o, m)
		}
	}
	if !ok {
		c.report(path, "%v (%T), want %s", v, v, typ)
	}
}

// Find returns the property at a path of inputs, which goes through lists and
// maps without a mark.
func (f *Facts) Find(token, path string) (p Property, ok bool) {
	o := f.Resources[token]
	for _, name := range strings.Split(path, ".") {
		if p, ok = o[name]; !ok {
			return p, false
		}
		o = f.Objects[elementOf(p.Type)]
	}
	return p, true
}

// Required lists the inputs that a type requires.
func (f *Facts) Required(token string) []string {
	var names []string
	for name, p := range f.Resources[token] {
		if p.Required {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Replaces says of each input that is no object, by path, whether its change
// replaces the resource. A path goes through lists and maps without a mark.
//
// An object that replaces does so when it comes or goes; what is in it speaks
// for itself: a secret's replicas are fixed, their keys are not.
// https://developer.hashicorp.com/terraform/plugin/sdkv2/schemas/schema-behaviors#forcenew
func (f *Facts) Replaces(token string) map[string]bool {
	paths := map[string]bool{}
	var walk func(path string, o Object, within []string)
	walk = func(path string, o Object, within []string) {
		for name, p := range o {
			at := strings.TrimPrefix(path+"."+name, ".")
			typ := elementOf(p.Type)
			nested, isObject := f.Objects[typ]
			switch {
			case !isObject || len(nested) == 0:
				paths[at] = p.Replaces
			case !slices.Contains(within, typ):
				walk(at, nested, append(slices.Clip(within), typ))
			}
		}
	}
	walk("", f.Resources[token], nil)
	return paths
}

// elementOf is the type behind lists and maps.
func elementOf(typ string) string { return strings.TrimLeft(typ, "[]{}") }

// Encode writes facts as they are kept: objects that no resource reaches are
// left out.
func (f *Facts) Encode() ([]byte, error) {
	reached := map[string]Object{}
	var reach func(o Object)
	reach = func(o Object) {
		for _, p := range o {
			name := elementOf(p.Type)
			if nested, ok := f.Objects[name]; ok && reached[name] == nil {
				reached[name] = nested
				reach(nested)
			}
		}
	}
	for _, o := range f.Resources {
		reach(o)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	err := enc.Encode(&Facts{Provider: f.Provider, Resources: f.Resources, Objects: reached})
	return b.Bytes(), err
}
