package hubspot

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"strings"
	"unicode/utf8"

	"ingestion.internal/shared/crm"
)

// maxNote is what a note may hold, in characters
// (developers.hubspot.com/docs/api-reference/crm-notes-v3/guide).
const maxNote = 65_536

//go:embed note.html.tmpl
var noteSource string

var noteTemplate = template.Must(template.New("note").Funcs(template.FuncMap{
	"number": func(v any) string {
		switch n := v.(type) {
		case *int64:
			return crm.Text(*n)
		default:
			return crm.Text(*v.(*float64))
		}
	},
}).Parse(noteSource))

// renderNote is the HTML of a lead's note. All of the lead is escaped. An
// analysis that makes the note too long is left out.
func renderNote(lead *crm.Lead) (string, error) {
	analysis := ""
	if len(lead.Analysis) > 0 {
		pretty, err := json.MarshalIndent(lead.Analysis, "", "  ")
		if err != nil {
			return "", fmt.Errorf("rendering the note: %w", err)
		}
		analysis = string(pretty)
	}
	for {
		var b strings.Builder
		if err := noteTemplate.Execute(&b, struct {
			*crm.Lead
			Document string
		}{lead, analysis}); err != nil {
			return "", fmt.Errorf("rendering the note: %w", err)
		}
		n := utf8.RuneCountInString(b.String())
		switch {
		case n <= maxNote:
			return b.String(), nil
		case analysis == "":
			return "", fmt.Errorf("the note has %d characters, HubSpot takes %d", n, maxNote)
		}
		analysis = ""
	}
}
