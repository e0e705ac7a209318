package evaluation

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/analysis/eval"
)

var update = flag.Bool("update", false, "rewrite the generated part of docs/evaluation.md")

// TestPublished: docs/evaluation.md has the stand-in's results as they are.
func TestPublished(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	s := eval.Defaults
	s.Untimed = true
	if err := Run(t.Context(), s, &got); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("..", "..", "..", "docs", "evaluation.md")
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- generated: go test ./local/internal/evaluation -update -->\n", "<!-- end of generated -->\n"
	head, rest, ok1 := strings.Cut(string(page), begin)
	published, tail, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has lost its marks %q and %q", file, begin, end)
	}
	if *update {
		if err := os.WriteFile(file, []byte(head+begin+"\n"+got.String()+"\n"+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(strings.TrimSpace(published), strings.TrimSpace(got.String())); diff != "" {
		t.Errorf("the published results are not today's (-published +today), -update accepts them:\n%s", diff)
	}
}

// TestJSON: the same as one document.
func TestJSON(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	s := eval.Defaults
	s.JSON, s.NoAttacks = true, true
	if err := Run(t.Context(), s, &got); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(got.String(), "{\n  \"model\": \"gemini-3.5-flash-lite\"") || !strings.Contains(got.String(), "\"attacks\": 0,") {
		t.Errorf("printed %.200s", got.String())
	}
}

// TestModelThatIsGone: nothing is scored in its place.
func TestModelThatIsGone(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	s := eval.Defaults
	s.Model, s.NoAttacks = "gemini-2.5-flash", true
	if err := Run(t.Context(), s, &got); err == nil || !strings.Contains(err.Error(), "was not found") {
		t.Errorf("error %v, want the API's", err)
	}
}
