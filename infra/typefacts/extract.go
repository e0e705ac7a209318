package typefacts

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// schemaProperty is a property in a Pulumi package's schema.
// https://www.pulumi.com/docs/iac/extending-pulumi/schema/
type schemaProperty struct {
	Type                 string           `json:"type"`
	Ref                  string           `json:"$ref"`
	Items                *schemaProperty  `json:"items"`
	AdditionalProperties *schemaProperty  `json:"additionalProperties"`
	OneOf                []schemaProperty `json:"oneOf"`
	Replaces             bool             `json:"willReplaceOnChanges"`
	Secret               bool             `json:"secret"`
	Deprecated           any              `json:"deprecationMessage"`
	DeprecatedFlag       bool             `json:"deprecated"` // in a schema without its texts
}

type packageSchema struct {
	Version   string `json:"version"`
	Resources map[string]struct {
		Inputs   map[string]schemaProperty `json:"inputProperties"`
		Required []string                  `json:"requiredInputs"`
	} `json:"resources"`
	Types map[string]struct {
		Type       string                    `json:"type"`
		Properties map[string]schemaProperty `json:"properties"`
		Required   []string                  `json:"required"`
	} `json:"types"`
}

var sdk = regexp.MustCompile(`github\.com/pulumi/pulumi-gcp/sdk/v\d+ v(\S+)`)

// SDKVersion returns the version of the gcp SDK that a go.mod asks for. The SDK
// asks for the provider of its own version.
func SDKVersion(mod []byte) (string, error) {
	m := sdk.FindSubmatch(mod)
	if m == nil {
		return "", errors.New("go.mod does not ask for the gcp SDK")
	}
	return string(m[1]), nil
}

// Extract reads a provider's schema and returns the facts of some types. The
// version is that of the provider, for a schema that does not say its own.
func Extract(r io.Reader, version string, tokens []string) (*Facts, error) {
	var s packageSchema
	if err := json.NewDecoder(r).Decode(&s); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	if s.Version != "" && s.Version != version {
		return nil, fmt.Errorf("the schema is of version %s, the SDK of version %s", s.Version, version)
	}
	f := &Facts{Provider: version, Resources: map[string]Object{}, Objects: map[string]Object{}}
	var take func(properties map[string]schemaProperty, required []string) (Object, error)
	// typeOf renders a type and takes in the objects that it needs.
	var typeOf func(p schemaProperty) (string, error)
	typeOf = func(p schemaProperty) (string, error) {
		switch {
		case p.Items != nil:
			elem, err := typeOf(*p.Items)
			return "[]" + elem, err
		case p.AdditionalProperties != nil:
			elem, err := typeOf(*p.AdditionalProperties)
			return "{}" + elem, err
		case p.Ref == "pulumi.json#/Any":
			return "any", nil
		case p.Ref == "pulumi.json#/Asset", p.Ref == "pulumi.json#/Archive":
			return "asset", nil
		case len(p.OneOf) > 0:
			return typeOf(p.OneOf[0]) // a resource in place of its name, or an enum's type
		case p.Ref == "":
			if p.Type == "object" {
				return "{}string", nil
			}
			return p.Type, nil
		}
		token, ok := strings.CutPrefix(p.Ref, "#/types/")
		if !ok {
			return "", fmt.Errorf("reference %s is not known", p.Ref)
		}
		t, ok := s.Types[token]
		if !ok {
			return "", fmt.Errorf("the schema lacks %s", token)
		}
		if t.Type != "object" {
			return t.Type, nil // an enum
		}
		// gcp:cloudtasks/QueueRateLimits:QueueRateLimits
		name, _, _ := strings.Cut(strings.TrimPrefix(token, "gcp:"), ":")
		if _, ok := f.Objects[name]; ok {
			return name, nil
		}
		f.Objects[name] = Object{} // objects can hold themselves
		o, err := take(t.Properties, t.Required)
		f.Objects[name] = o
		return name, err
	}
	take = func(properties map[string]schemaProperty, required []string) (Object, error) {
		o := Object{}
		for name, p := range properties {
			typ, err := typeOf(p)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			o[name] = Property{Type: typ, Replaces: p.Replaces, Secret: p.Secret, Deprecated: p.Deprecated != nil || p.DeprecatedFlag}
		}
		for _, name := range required {
			p := o[name]
			p.Required = true
			o[name] = p
		}
		return o, nil
	}
	for _, token := range tokens {
		r, ok := s.Resources[token]
		if !ok {
			return nil, fmt.Errorf("the schema lacks the resource %s", token)
		}
		o, err := take(r.Inputs, r.Required)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", token, err)
		}
		f.Resources[token] = o
	}
	return f, nil
}
