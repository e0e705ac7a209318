package provider

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

var (
	processorType    = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)
	processorVersion = regexp.MustCompile(`^projects/[^/]+/locations/[a-z0-9-]+/processors/[a-z0-9]+/processorVersions/[A-Za-z0-9._-]+$`)
)

// documentKinds are Document AI's processors. They are kept only: the stand-in
// reads for any of this project's.
func documentKinds() []Kind {
	return []Kind{{
		Type: "gcp:essentialcontacts/documentAiProcessor:DocumentAiProcessor", Mode: Recorded,
		Required:  []string{"displayName", "location", "type"},
		Replace:   []string{"displayName", "kmsKeyName", "location", "project", "type"},
		Computed:  []string{"name"},
		Normalize: inProject,
		Validate: func(in Object, _ map[string]bool) []Failure {
			return append(match(in, "type", processorType, "a processor type such as FORM_PARSER_PROCESSOR"),
				match(in, "location", regexp.MustCompile(`^[a-z0-9-]+$`), "a location such as us")...)
		},
		// The API makes the id up: 16 hex digits.
		ID: func(in Object) string {
			sum := sha256.Sum256([]byte(str(in, "displayName")))
			return "projects/" + str(in, "project") + "/locations/" + str(in, "location") + "/processors/" + hex.EncodeToString(sum[:8])
		},
		Outputs: func(in Object) Object {
			sum := sha256.Sum256([]byte(str(in, "displayName")))
			return Object{"name": hex.EncodeToString(sum[:8])}
		},
	}, {
		Type: "gcp:essentialcontacts/documentAiProcessorDefaultVersion:DocumentAiProcessorDefaultVersion", Mode: Recorded,
		Required: []string{"processor", "version"},
		Replace:  []string{"processor", "version"},
		Validate: func(in Object, _ map[string]bool) []Failure {
			failures := match(in, "version", processorVersion, "the full name of a processor's version")
			if v, p := str(in, "version"), str(in, "processor"); v != "" && p != "" && !strings.HasPrefix(v, p+"/") {
				failures = append(failures, Failure{"version", fmt.Sprintf("%q is not a version of %s", v, p)})
			}
			return failures
		},
		ID: func(in Object) string { return str(in, "processor") },
	}}
}
