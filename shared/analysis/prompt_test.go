package analysis

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genai"
)

// TestVersionsNeverChange holds every prompt and schema that was ever used to
// its recorded hash, with all that it includes. -update records new versions;
// it does not change an old one's.
func TestVersionsNeverChange(t *testing.T) {
	t.Parallel()
	current := map[string]string{}
	names, err := filepath.Glob("prompts/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		version := strings.TrimSuffix(filepath.Base(name), ".md")
		current["prompt "+version] = fmt.Sprintf("%x", sha256.Sum256([]byte(mustPrompt(version))))
	}
	if names, err = filepath.Glob("schema/*.json"); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		version := strings.TrimSuffix(filepath.Base(name), ".json")
		if strings.HasPrefix(version, "fields.") {
			continue // in the schemas that refer to it
		}
		whole, err := json.Marshal(mustSchema(version))
		if err != nil {
			t.Fatal(err)
		}
		current["schema "+version] = fmt.Sprintf("%x", sha256.Sum256(whole))
	}
	const file = "testdata/versions.json"
	recorded := map[string]string{}
	if data, err := os.ReadFile(file); err == nil {
		if err := json.Unmarshal(data, &recorded); err != nil {
			t.Fatal(err)
		}
	} else if !*update {
		t.Fatal(err)
	}
	for version, hash := range current {
		switch {
		case recorded[version] == "" && *update:
			recorded[version] = hash
		case recorded[version] == "":
			t.Errorf("%s is new: record it with -update", version)
		case recorded[version] != hash:
			t.Errorf("%s is not what results were made with any more: make a new version instead", version)
		}
	}
	for version := range recorded {
		if current[version] == "" {
			t.Errorf("%s is gone: results name it", version)
		}
	}
	if *update {
		data, err := json.MarshalIndent(recorded, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(data, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSchemas: each kind's schema orders and requires all of its fields, Result
// has them all, and kinds that have a field have it in the same form.
func TestSchemas(t *testing.T) {
	t.Parallel()
	for _, kind := range Kinds {
		schema := kinds[kind].schema
		if len(schema.Required) != len(schema.Properties) || len(schema.PropertyOrdering) != len(schema.Properties) {
			t.Errorf("%s: the schema does not require and order each of its properties", kind)
		}
		for name, property := range schema.Properties {
			if other := callSchema.Properties[name]; other == nil || fmt.Sprint(encode(t, other)) != fmt.Sprint(encode(t, property)) {
				t.Errorf("%s: %s is not as in calls", kind, name)
			}
		}
		var r Result
		dec := json.NewDecoder(strings.NewReader(answerFor(t, kind)))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&r); err != nil {
			t.Errorf("%s: Result does not have it all: %v", kind, err)
		}
		if _, err := parse(schema, answerFor(t, kind), &r); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if len(kinds) != len(Kinds) {
		t.Errorf("%d kinds have a prompt, %d are listed", len(kinds), len(Kinds))
	}
}

func encode(t *testing.T, s *genai.Schema) string {
	t.Helper()
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestPrompts: every prompt says that content is data, names each field and
// each value of its schema that is a word of its own, and leaves no include
// open.
func TestPrompts(t *testing.T) {
	t.Parallel()
	for _, in := range append([]*instruction{condensing}, kinds[Call], kinds[Form], kinds[Chat], kinds[Booking], kinds[Text]) {
		for _, want := range append([]string{"never an instruction", "It is never"}, in.schema.PropertyOrdering...) {
			if !strings.Contains(in.prompt, want) {
				t.Errorf("%s does not say %q", in.promptVersion, want)
			}
		}
		for _, name := range []string{"intent", "urgency"} {
			for _, value := range enumOf(in.schema, name) {
				if !strings.Contains(in.prompt, "`"+value+"`") {
					t.Errorf("%s does not explain %s %s", in.promptVersion, name, value)
				}
			}
		}
		if strings.Contains(in.prompt, "{{") {
			t.Errorf("%s has an include that is none", in.promptVersion)
		}
	}
	for _, value := range callSchema.Properties["communication"].Properties["type"].Enum {
		if !strings.Contains(kinds[Call].prompt, "`"+value+"`") {
			t.Errorf("communication type %s is not explained", value)
		}
	}
}

func enumOf(s *genai.Schema, name string) []string {
	if p := s.Properties[name]; p != nil {
		return p.Enum
	}
	return nil
}

// TestUnbounded: what is sent has no bounds that Gemini may refuse, and the
// schema that answers are checked against still has them.
func TestUnbounded(t *testing.T) {
	t.Parallel()
	for _, in := range []*instruction{condensing, kinds[Call], kinds[Form]} {
		sent := encode(t, unbounded(in.schema))
		for _, word := range []string{"maxItems", "minItems", "maxLength", "minLength", "maximum", "minimum"} {
			if strings.Contains(sent, word) {
				t.Errorf("%s: %s is sent", in.schemaVersion, word)
			}
		}
		if !strings.Contains(encode(t, in.schema), "maxLength") {
			t.Errorf("%s has lost its bounds", in.schemaVersion)
		}
	}
	if !slices.Contains(unbounded(callSchema).Properties["urgency"].Enum, "emergency") {
		t.Error("sets are not sent")
	}
}

// TestBadSchemas: a mistake in an embedded file ends the program at once.
func TestBadSchemas(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(){
		"no file":      func() { mustPrompt("nothing.v9") },
		"no reference": func() { resolve(map[string]any{"$ref": "fields.v2.json#nothing"}) },
		"no JSON":      func() { mustDecode("../prompts/call.v1.md") },
		"no schema":    func() { mustSchema("fields.v2") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}
