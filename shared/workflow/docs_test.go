package workflow

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/geo"
)

// block is a fenced block of docs/workflow.md whose info string says what it
// is: a workflow, its decisions or its mistakes, and a name.
var block = regexp.MustCompile("(?ms)^```(?:json|text) (workflow|decisions|mistakes) ?([a-z]*)\n(.*?)^```$")

// example is one row of the page's decisions.
type example struct {
	Request struct {
		SpamLikelihood *float64 `json:"spam_likelihood"`
		PostalCode     string   `json:"postal_code"`
		PlaceProblem   string   `json:"place_problem"`
		Place          *struct {
			Lat        float64 `json:"lat"`
			Lng        float64 `json:"lng"`
			PostalCode string  `json:"postal_code"`
			Rough      bool    `json:"rough"`
		} `json:"place"`
	} `json:"request"`
	Outcome Outcome `json:"outcome"`
	Reason  string  `json:"reason"` // one of the decision's
}

// TestExamplesOfTheDocumentation decides every request of the page by the
// workflow it stands below, and refuses what the page says is refused.
func TestExamplesOfTheDocumentation(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/workflow.md")
	if err != nil {
		t.Fatal(err)
	}
	workflows := map[string]string{}
	var decided int
	for _, m := range block.FindAllStringSubmatch(string(page), -1) {
		what, name, text := m[1], m[2], m[3]
		switch what {
		case "workflow":
			workflows[name] = text
		case "mistakes":
			_, err := Parse([]byte(workflows["mistakes"]), "workflow_config")
			if err == nil {
				t.Fatal("the page's mistakes are accepted")
			}
			delete(workflows, "mistakes")
			if diff := cmp.Diff(strings.TrimSpace(text), err.Error()); diff != "" {
				t.Errorf("mistakes (-page +got):\n%s", diff)
			}
		case "decisions":
			var examples []example
			dec := json.NewDecoder(strings.NewReader(text))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&examples); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			cfg := mustParse(t, workflows[name])
			for _, e := range examples {
				in := Input{SpamLikelihood: e.Request.SpamLikelihood, PostalCode: e.Request.PostalCode, PlaceProblem: e.Request.PlaceProblem}
				if p := e.Request.Place; p != nil {
					in.Place = &geo.Place{Point: geo.Point{Lat: p.Lat, Lng: p.Lng}, PostalCode: p.PostalCode, Rough: p.Rough}
				}
				if name != "spam" {
					in.SpamLikelihood = new(float64)
				}
				got := Decide(cfg, in)
				if got.Outcome != e.Outcome || !slices.Contains(got.Reasons, e.Reason) {
					t.Errorf("%s: %+v is %s: %q\nthe page says %s: %q", name, e.Request, got.Outcome, got.Reasons, e.Outcome, e.Reason)
				}
				decided++
			}
		}
	}
	for name, text := range workflows {
		mustParse(t, text)
		if name == "whole" {
			if diff := cmp.Diff(mustParse(t, ownersConfig), mustParse(t, text)); diff != "" {
				t.Errorf("the page's whole workflow (-owner's +page):\n%s", diff)
			}
		}
	}
	if decided < 15 || len(workflows) < 5 {
		t.Errorf("%d decisions and %d workflows were found on the page", decided, len(workflows))
	}
}

// TestDocumentationNamesEveryField compares the page's table with the schema.
func TestDocumentationNamesEveryField(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/workflow.md")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	var walk func(path string, n *node)
	walk = func(path string, n *node) {
		if len(n.Properties) == 0 {
			text, err := json.Marshal(n.Default)
			if err != nil {
				t.Fatal(err)
			}
			want[strings.TrimPrefix(path, ".")] = string(text)
		}
		for name, property := range n.Properties {
			walk(path+"."+name, property)
		}
	}
	walk("", root.fields())
	got := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+\\.[a-z_.]+)` \\| `([^`]*)` \\|").FindAllStringSubmatch(string(page), -1) {
		value := row[2]
		if !json.Valid([]byte(value)) {
			value = `"` + value + `"` // words stand without quotes
		}
		got[row[1]] = value
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields and defaults (-schema +page):\n%s", diff)
	}
}
