package connectors

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/email/sendgrid"
	"ingestion.internal/shared/integrations"
)

// example is a fenced block of docs/crm.md whose info string says what it is:
// settings or field_mapping of a provider.
var example = regexp.MustCompile("(?ms)^```json (settings|field_mapping) ([a-z]+)\n(.*?)^```$")

// parse reads the settings of one provider.
func parse(t *testing.T, provider, text string) integrations.Settings {
	t.Helper()
	s, err := integrations.Parse([]byte(`{"` + provider + `":` + text + `}`))
	if err != nil {
		t.Fatalf("%s: %v", provider, err)
	}
	return s
}

// TestExamplesOfTheDocumentation opens every provider with every pair of the
// page's examples for it.
func TestExamplesOfTheDocumentation(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/crm.md")
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	mappings := map[string][]map[string]string{}
	for _, m := range example.FindAllStringSubmatch(string(page), -1) {
		what, provider, text := m[1], m[2], m[3]
		if what == "settings" {
			settings[provider] = text
			continue
		}
		var mapping map[string]string
		if err := json.Unmarshal([]byte(text), &mapping); err != nil {
			t.Errorf("%s: %v in %s", provider, err, text)
		}
		mappings[provider] = append(mappings[provider], mapping)
	}
	for _, provider := range Providers() {
		if settings[provider] == "" || len(mappings[provider]) == 0 {
			t.Errorf("the page has no example of %s", provider)
		}
		for _, mapping := range mappings[provider] {
			if _, err := Open(provider, parse(t, provider, settings[provider]), mapping, nil); err != nil {
				t.Errorf("%s: %v", provider, err)
			}
		}
	}
	if _, err := sendgrid.New(*parse(t, "sendgrid", settings["sendgrid"]).SendGrid, nil); err != nil {
		t.Error(err)
	}
	for _, word := range []string{"upper", "lower", "trim", "first_name", "last_name", "e164", "int", "string", "default:VALUE"} {
		if !strings.Contains(string(page), "`"+word+"`") {
			t.Errorf("the page does not explain the transform %s", word)
		}
	}
	for _, field := range crm.Fields() {
		if !strings.Contains(string(page), "`"+field+"`") {
			t.Errorf("the page does not name the field %s", field)
		}
	}
}
