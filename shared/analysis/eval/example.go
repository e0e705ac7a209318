// Package eval scores a model on examples with labels: how often it says what a
// careful person would, what it costs, how long it takes, and whether known
// attacks (package attacks) move it. examples/README.md describes the set.
package eval

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"ingestion.internal/shared/analysis"
)

//go:embed examples/*.jsonl
var examples embed.FS

// Example is one content and what is right about it.
type Example struct {
	ID         string            `json:"id"`
	Kind       analysis.Kind     `json:"kind"`
	About      string            `json:"about"`
	Details    map[string]string `json:"details,omitempty"`
	Transcript []analysis.Turn   `json:"transcript,omitempty"`
	Missing    string            `json:"missing,omitempty"`
	Fields     json.RawMessage   `json:"fields,omitempty"`
	Want       Want              `json:"want"`
}

// Want has an example's labels. An empty list or text does not matter.
type Want struct {
	Communication []string `json:"communication"`
	Intent        []string `json:"intent"`
	ProjectType   []string `json:"project_type"`
	Urgency       []string `json:"urgency,omitempty"`
	LeadScore     [2]int64 `json:"lead_score"`
	Spam          *bool    `json:"spam"` // nil = people would differ
	ZIP           string   `json:"zip,omitempty"`
	Name          string   `json:"name,omitempty"`
	Steering      bool     `json:"steering,omitempty"`
}

// content is what the model is shown.
func (e *Example) content() analysis.Content {
	return analysis.Content{Details: e.Details, Turns: e.Transcript, Missing: e.Missing, Fields: e.Fields}
}

// Examples returns the project's own set, ordered by channel.
func Examples() ([]Example, error) {
	names, err := fs.Glob(examples, "examples/*.jsonl")
	if err != nil {
		return nil, err
	}
	var all []Example
	for _, name := range names {
		data, err := examples.ReadFile(name)
		if err != nil {
			return nil, err
		}
		list, err := Parse(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, list...)
	}
	return all, nil
}

// Parse reads examples, one JSON object a line; empty lines are skipped. The
// error joins every mistake with its line.
func Parse(data []byte) ([]Example, error) {
	var list []Example
	var errs []error
	seen := map[string]bool{}
	for i, line := range bytes.Split(data, []byte("\n")) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		var e Example
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&e); err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", i+1, err))
			continue
		}
		if err := e.validate(); err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", i+1, err))
		}
		if seen[e.ID] {
			errs = append(errs, fmt.Errorf("line %d: %s is there twice", i+1, e.ID))
		}
		seen[e.ID] = true
		list = append(list, e)
	}
	return list, errors.Join(errs...)
}

func (e *Example) validate() error {
	w := e.Want
	switch {
	case e.ID == "":
		return errors.New("no id")
	case e.Kind == "":
		return fmt.Errorf("%s: no kind", e.ID)
	case len(w.Communication) == 0 || len(w.Intent) == 0 || len(w.ProjectType) == 0:
		return fmt.Errorf("%s: communication, intent and project_type must be labelled", e.ID)
	case w.LeadScore[0] < 0 || w.LeadScore[1] > 100 || w.LeadScore[0] >= w.LeadScore[1]:
		return fmt.Errorf("%s: lead_score %v is no range within 0 to 100", e.ID, w.LeadScore)
	case len(e.Fields) > 0 && len(e.Transcript) > 0:
		return fmt.Errorf("%s: it has fields and a transcript", e.ID)
	}
	return nil
}
