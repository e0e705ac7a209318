package layout

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	deep := filepath.Join(root, "functions", "x")
	for _, d := range []string{deep, filepath.Join(root, "local")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Find(deep); err == nil || !strings.Contains(err.Error(), "not inside the repository") {
		t.Errorf("outside of a repository: %v", err)
	}
	for _, f := range []string{"go.work", "local/go.mod"} {
		if err := os.WriteFile(filepath.Join(root, f), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{root, deep, filepath.Join(root, "local")} {
		if got, err := Find(d); err != nil || string(got) != root {
			t.Errorf("Find(%s) = %s, %v", d, got, err)
		}
	}
}

func TestStacks(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, f := range []string{"Pulumi.yaml", "Pulumi.prod.yaml", "Pulumi.dev.yaml", "Pulumi.dev.yaml.bak"} {
		if err := os.WriteFile(filepath.Join(root, f), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Repo(root).Stacks()
	if err != nil || strings.Join(got, " ") != "dev prod" {
		t.Errorf("stacks %q, %v; want dev and prod", got, err)
	}
}
