package analysis

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/genai"
)

// Prompts and schemas are never edited once they were used: results name the
// version that made them, and a test holds each version to its recorded hash. A
// change is a new file, and a new name in kinds below.
//
//go:embed prompts schema
var files embed.FS

// Kind is the channel of an enquiry; each has its own prompt and schema.
type Kind string

// The kinds.
const (
	Call    Kind = "call"
	Form    Kind = "form"
	Chat    Kind = "chat"
	Booking Kind = "booking"
	Text    Kind = "text"
)

// Kinds lists all kinds.
var Kinds = []Kind{Call, Form, Chat, Booking, Text}

// instruction is a versioned prompt with the schema of its answer.
type instruction struct {
	noun          string // what the content is called in the question
	promptVersion string
	schemaVersion string
	prompt        string
	schema        *genai.Schema // what the answer is checked against
}

func newInstruction(noun, promptVersion, schemaVersion string) *instruction {
	return &instruction{
		noun: noun, promptVersion: promptVersion, schemaVersion: schemaVersion,
		prompt: mustPrompt(promptVersion), schema: mustSchema(schemaVersion),
	}
}

// kinds has the current version of each kind.
var kinds = map[Kind]*instruction{
	Call:    newInstruction("call", "call.v2", "call.v2"),
	Form:    newInstruction("form", "form.v3", "form.v2"),
	Chat:    newInstruction("chat", "chat.v2", "chat.v2"),
	Booking: newInstruction("booking", "booking.v2", "booking.v2"),
	Text:    newInstruction("text messages", "text.v2", "text.v2"),
}

// condensing shortens one part of what is too long for one request.
var condensing = newInstruction("part", "condense.v1", "condense.v1")

// include is a line of a prompt that stands for a file.
var include = regexp.MustCompile(`(?m)^\{\{include (common/[a-z0-9._]+)\}\}\n?`)

// mustPrompt returns a version's whole text, what it includes included.
func mustPrompt(version string) string {
	return include.ReplaceAllStringFunc(string(mustRead("prompts/"+version+".md")), func(line string) string {
		return string(mustRead("prompts/" + include.FindStringSubmatch(line)[1]))
	})
}

// mustSchema returns a version's whole schema: {"$ref": "file#name"} stands for
// the value of that name in the file.
func mustSchema(version string) *genai.Schema {
	whole, err := json.Marshal(resolve(mustDecode(version + ".json")))
	if err != nil {
		panic(fmt.Sprintf("analysis: schema %s: %v", version, err)) // embedded: a test fails first
	}
	dec := json.NewDecoder(strings.NewReader(string(whole)))
	dec.DisallowUnknownFields()
	var schema genai.Schema
	if err := dec.Decode(&schema); err != nil {
		panic(fmt.Sprintf("analysis: schema %s: %v", version, err))
	}
	return &schema
}

func resolve(value any) any {
	switch v := value.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			file, name, _ := strings.Cut(ref, "#")
			definition, ok := mustDecode(file).(map[string]any)[name]
			if !ok {
				panic("analysis: schema: there is no " + ref)
			}
			return resolve(definition)
		}
		for key := range v {
			v[key] = resolve(v[key])
		}
	case []any:
		for i := range v {
			v[i] = resolve(v[i])
		}
	}
	return value
}

func mustDecode(name string) any {
	var value any
	if err := json.Unmarshal(mustRead("schema/"+name), &value); err != nil {
		panic(fmt.Sprintf("analysis: schema/%s: %v", name, err))
	}
	return value
}

func mustRead(name string) []byte {
	data, err := files.ReadFile(name)
	if err != nil {
		panic("analysis: " + err.Error())
	}
	return data
}

// without returns the object schema less the named properties.
func without(schema *genai.Schema, names []string) *genai.Schema {
	if len(names) == 0 {
		return schema
	}
	gone := func(name string) bool { return slices.Contains(names, name) }
	out := *schema
	out.Properties = maps.Clone(schema.Properties)
	maps.DeleteFunc(out.Properties, func(name string, _ *genai.Schema) bool { return gone(name) })
	out.Required = slices.DeleteFunc(slices.Clone(schema.Required), gone)
	out.PropertyOrdering = slices.DeleteFunc(slices.Clone(schema.PropertyOrdering), gone)
	return &out
}

// unbounded returns the schema as the model is given it: shapes and sets, no
// bounds of lengths and numbers. Gemini refuses schemas whose constraint has
// "too many states for serving", names bounds of arrays and numbers as usual
// causes, and moves the limit without notice (github.com/googleapis/python-genai
// issues 660 and 2170, read 2026-11-25). The prompt states the bounds, and the
// answer is held to them here.
func unbounded(schema *genai.Schema) *genai.Schema {
	if schema == nil {
		return nil
	}
	out := *schema
	out.MinLength, out.MaxLength, out.MinItems, out.MaxItems, out.Minimum, out.Maximum = nil, nil, nil, nil, nil, nil
	out.Items = unbounded(schema.Items)
	out.Properties = nil
	for name, property := range schema.Properties {
		if out.Properties == nil {
			out.Properties = map[string]*genai.Schema{}
		}
		out.Properties[name] = unbounded(property)
	}
	return &out
}
