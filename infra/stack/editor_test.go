package stack

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"
	"gopkg.in/yaml.v3"
)

// editorSchema is the schema that the stack files name, with what it refers to,
// as an editor resolves it: relative to its own file.
func editorSchema(t *testing.T) *jsonschema.Resolved {
	t.Helper()
	read := func(path string) (*jsonschema.Schema, error) {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var s jsonschema.Schema
		return &s, json.Unmarshal(data, &s)
	}
	path, err := filepath.Abs("stack.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := read(path)
	if err != nil {
		t.Fatal(err)
	}
	resolved, err := schema.Resolve(&jsonschema.ResolveOptions{
		BaseURI:          "file://" + path,
		Loader:           func(uri *url.URL) (*jsonschema.Schema, error) { return read(uri.Path) },
		ValidateDefaults: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return resolved
}

// TestEditorsKnowTheStackFiles shows that what a preview accepts has no marks
// in an editor, and that mistakes in tenants have.
func TestEditorsKnowTheStackFiles(t *testing.T) {
	schema := editorSchema(t)
	read := func(name string) map[string]any {
		data, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		if line := "# yaml-language-server: $schema=infra/stack/stack.schema.json\n"; !strings.HasPrefix(string(data), line) {
			t.Errorf("%s does not begin with %s", name, line)
		}
		var document any
		if err := yaml.Unmarshal(data, &document); err != nil {
			t.Fatal(err)
		}
		// What JSON has no types for becomes text, as it does in an editor.
		text, err := json.Marshal(document)
		var plain map[string]any
		if err = errors.Join(err, json.Unmarshal(text, &plain)); err != nil {
			t.Fatal(err)
		}
		return plain
	}
	for _, name := range []string{"Pulumi.dev.yaml", "Pulumi.local.yaml", "Pulumi.prod.yaml"} {
		if err := schema.Validate(read(name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(tenant map[string]any){
		"workflow of the tenant": func(tenant map[string]any) {
			tenant["workflow"] = map[string]any{"service_area": map[string]any{"enabled": true}}
		},
		"workflow of an office": func(tenant map[string]any) {
			tenant["offices"].(map[string]any)["main"].(map[string]any)["workflow"] = map[string]any{"spam": map[string]any{}}
		},
		"state":      func(tenant map[string]any) { tenant["state"] = "gone" },
		"no offices": func(tenant map[string]any) { tenant["offices"] = map[string]any{} },
	} {
		document := read("Pulumi.local.yaml")
		tenants := document["config"].(map[string]any)["ingestion:tenants"].(map[string]any)
		change(tenants["boost-marketing"].(map[string]any))
		if err := schema.Validate(document); err == nil {
			t.Errorf("%s: the mistake is not seen", name)
		}
	}
	// An office may switch on what its tenant completes.
	document := read("Pulumi.local.yaml")
	boost := document["config"].(map[string]any)["ingestion:tenants"].(map[string]any)["boost-marketing"].(map[string]any)
	boost["offices"].(map[string]any)["main"].(map[string]any)["workflow"] = map[string]any{"crm_integration": map[string]any{"enabled": true}}
	if err := schema.Validate(document); err != nil {
		t.Errorf("an office that its tenant completes: %v", err)
	}
}

// TestStackFilesAreAsPulumiWritesThem: "pulumi config set" writes the whole file
// anew, and whoever adds a customer should see that customer alone in the change.
func TestStackFilesAreAsPulumiWritesThem(t *testing.T) {
	for _, name := range []string{"Pulumi.local.yaml", "Pulumi.dev.yaml", "Pulumi.prod.yaml"} {
		text, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		var document yaml.Node
		if err := yaml.Unmarshal(text, &document); err != nil {
			t.Fatal(err)
		}
		var written bytes.Buffer
		encoder := yaml.NewEncoder(&written)
		encoder.SetIndent(2)
		if err := encoder.Encode(&document); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(text), written.String()); diff != "" {
			t.Errorf("%s (-is +as Pulumi writes it)\n%s", name, diff)
		}
	}
}
