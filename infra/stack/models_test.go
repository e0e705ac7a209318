package stack

import (
	"strings"
	"testing"
	"time"
)

func TestModelWarnings(t *testing.T) {
	t.Parallel()
	model := func(name string) raw {
		return raw{"validation": map[string]any{"spam_detection": map[string]any{"ml_model": name}}}
	}
	c := &Config{
		Gemini: GeminiConfig{Model: "gemini-3.5-flash-lite"},
		Tenants: map[string]TenantConfig{
			"acme": {State: stateActive, Workflow: model("gemini-2.5-flash"), Offices: map[string]OfficeConfig{
				"main":  {},
				"north": {Workflow: model("gemini-3.5-flash")},
			}},
			"left": {State: "inactive", Workflow: model("gemini-2.5-flash"), Offices: map[string]OfficeConfig{"main": {}}},
		},
	}
	at := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	got, err := c.modelWarnings(at)
	if err != nil {
		t.Fatal(err)
	}
	const want = "ingestion:tenants.acme.offices.main: workflow.validation.spam_detection.ml_model: gemini-2.5-flash retired on 2026-10-16"
	if len(got) != 1 || !strings.HasPrefix(got[0], want) {
		t.Errorf("warnings %q, want one that begins with %q", got, want)
	}
	// A year on it is time to choose the stack's anew.
	got, err = c.modelWarnings(at.AddDate(1, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || !strings.HasPrefix(got[0], "ingestion:gemini.model: gemini-3.5-flash-lite may be retired") {
		t.Errorf("warnings in a year: %q", got)
	}
}

// TestRetiredModelIsNoMistake: the stack deploys, and is warned.
func TestRetiredModelIsNoMistake(t *testing.T) {
	s := deployable(t, "local")
	s.edit(t, "ingestion:tenants", func(tenants map[string]any) {
		boost := tenants["boost-marketing"].(map[string]any)["workflow"].(map[string]any)
		boost["validation"] = map[string]any{"spam_detection": map[string]any{"ml_model": "gemini-2.5-flash"}}
	})
	if _, err := run(t, s, ""); err != nil {
		t.Errorf("a retired model stops the deployment: %v", err)
	}
}
