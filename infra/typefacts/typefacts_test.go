package typefacts

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const schema = `{
  "version": "7.0.0",
  "resources": {
    "gcp:a/box:Box": {
      "inputProperties": {
        "name": {"type": "string", "willReplaceOnChanges": true},
        "size": {"type": "integer"},
        "open": {"type": "boolean", "deprecationMessage": "boxes are closed"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "parts": {"type": "array", "items": {"$ref": "#/types/gcp:a/BoxPart:BoxPart"}},
        "source": {"$ref": "pulumi.json#/Asset"},
        "key": {"type": "string", "secret": true}
      },
      "requiredInputs": ["name", "parts"]
    },
    "gcp:a/other:Other": {"inputProperties": {}}
  },
  "types": {
    "gcp:a/BoxPart:BoxPart": {
      "type": "object",
      "properties": {
        "weight": {"type": "number"},
        "kind": {"type": "string", "willReplaceOnChanges": true},
        "inner": {"$ref": "#/types/gcp:a/BoxPart:BoxPart"}
      },
      "required": ["kind"]
    }
  }
}`

func extract(t *testing.T) *Facts {
	t.Helper()
	f, err := Extract(strings.NewReader(schema), "7.0.0", []string{"gcp:a/box:Box"})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestExtract(t *testing.T) {
	t.Parallel()
	want := &Facts{
		Provider: "7.0.0",
		Resources: map[string]Object{"gcp:a/box:Box": {
			"name":   {Type: "string", Required: true, Replaces: true},
			"size":   {Type: "integer"},
			"open":   {Type: "boolean", Deprecated: true},
			"labels": {Type: "{}string"},
			"parts":  {Type: "[]a/BoxPart", Required: true},
			"source": {Type: "asset"},
			"key":    {Type: "string", Secret: true},
		}},
		Objects: map[string]Object{"a/BoxPart": {
			"weight": {Type: "number"},
			"kind":   {Type: "string", Required: true, Replaces: true},
			"inner":  {Type: "a/BoxPart"},
		}},
	}
	got := extract(t)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("extracted (-want +got):\n%s", d)
	}
	text, err := got.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := parse(text); err != nil {
		t.Error(err)
	} else if d := cmp.Diff(want, again); d != "" {
		t.Errorf("written and read (-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[string]bool{
		"name": true, "size": false, "open": false, "labels": false, "source": false, "key": false, "parts.weight": false, "parts.kind": true,
	}, got.Replaces("gcp:a/box:Box")); d != "" {
		t.Errorf("replaces (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"name", "parts"}, got.Required("gcp:a/box:Box")); d != "" {
		t.Errorf("required (-want +got):\n%s", d)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	f := extract(t)
	for path, want := range map[string]string{"name": "string", "parts.inner.weight": "number", "labels": "{}string"} {
		if p, ok := f.Find("gcp:a/box:Box", path); !ok || p.Type != want {
			t.Errorf("%s: %v, %t; want the type %s", path, p, ok, want)
		}
	}
	for _, path := range []string{"colour", "parts.colour", "name.first", ""} {
		if p, ok := f.Find("gcp:a/box:Box", path); ok {
			t.Errorf("%s: found %v", path, p)
		}
	}
}

func TestExtractRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ version, token, want string }{
		"another version": {"7.1.0", "gcp:a/box:Box", "version 7.0.0"},
		"no such type":    {"7.0.0", "gcp:a/tin:Tin", "gcp:a/tin:Tin"},
	} {
		if _, err := Extract(strings.NewReader(schema), tt.version, []string{tt.token}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, tt.want)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	f := extract(t)
	type object = map[string]any
	part := object{"kind": "lid"}
	for name, tt := range map[string]struct {
		in         object
		wrong      []string
		deprecated []string
	}{
		"right":          {in: object{"name": "n", "size": 3.0, "labels": object{"a": "b"}, "parts": []any{part, object{"kind": "lid", "inner": part}}, "source": 1}},
		"not known yet":  {in: object{"name": nil, "parts": nil, "size": nil}},
		"unknown":        {in: object{"name": "n", "parts": []any{}, "colour": "red"}, wrong: []string{"colour: no such property"}},
		"missing":        {in: object{"parts": []any{object{}}}, wrong: []string{"parts[0].kind: is required", "name: is required"}},
		"deprecated":     {in: object{"name": "n", "parts": []any{}, "open": true}, deprecated: []string{"open"}},
		"fraction":       {in: object{"name": "n", "parts": []any{}, "size": 1.5}, wrong: []string{"size: 1.5 (float64), want integer"}},
		"text":           {in: object{"name": 1.0, "parts": []any{}}, wrong: []string{"name: 1 (float64), want string"}},
		"no list":        {in: object{"name": "n", "parts": part}, wrong: []string{"parts: map[string]interface {}, want a list"}},
		"wrong in a map": {in: object{"name": "n", "parts": []any{}, "labels": object{"a": true}}, wrong: []string{"labels.a: true (bool), want string"}},
	} {
		wrong, deprecated := f.Check("gcp:a/box:Box", tt.in)
		if d := cmp.Diff(tt.wrong, wrong); d != "" {
			t.Errorf("%s: wrong (-want +got):\n%s", name, d)
		}
		if d := cmp.Diff(tt.deprecated, deprecated); d != "" {
			t.Errorf("%s: deprecated (-want +got):\n%s", name, d)
		}
	}
	if wrong, _ := f.Check("gcp:a/tin:Tin", nil); len(wrong) != 1 || !strings.Contains(wrong[0], "infra/cmd/typefacts") {
		t.Errorf("a type without facts: %v", wrong)
	}
}

// TestFactsAreOfTheSDK: the SDK and the provider that it asks for have one
// version; facts of another would judge wrongly.
func TestFactsAreOfTheSDK(t *testing.T) {
	t.Parallel()
	f, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join("..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if version, err := SDKVersion(mod); err != nil || version != f.Provider {
		t.Errorf("facts of the provider %s, go.mod has the SDK %q, %v", f.Provider, version, err)
	}
	// They are complete and written as the command writes them.
	text, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(embedded), string(text)); d != "" {
		t.Errorf("facts.json is not as infra/cmd/typefacts writes it (-file +written):\n%s", d)
	}
	for token, o := range f.Resources {
		for name, p := range o {
			typ := elementOf(p.Type)
			if strings.Contains(typ, "/") && f.Objects[typ] == nil {
				t.Errorf("%s: no facts of %s", token+"."+name, typ)
			} else if scalars := []string{"string", "number", "integer", "boolean", "any", "asset"}; !strings.Contains(typ, "/") && !slices.Contains(scalars, typ) {
				t.Errorf("%s has the type %q", token+"."+name, p.Type)
			}
		}
	}
}
