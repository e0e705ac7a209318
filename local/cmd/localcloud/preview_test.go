package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/local/internal/cli"
)

func TestPreviewOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	a, _ := newApp(t)
	for _, name := range []string{"dev", "prod"} {
		if err := os.WriteFile(a.repo.Path("Pulumi."+name+".yaml"), []byte("config: {gcp:project: p, gcp:region: r}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a.opts.Args = []string{"prodd"}
	err := a.preview(t.Context())
	if err == nil || !strings.Contains(err.Error(), `no stack "prodd"; there are dev, prod`) {
		t.Errorf("error %v, want one that names the stacks", err)
	}
	if code := exitCode(t.Context(), err); code != cli.ExitUsage {
		t.Errorf("exit status %d", code)
	}
	// Nothing is left behind when the program is not built.
	a.opts.Args = []string{"prod"}
	if err := a.preview(t.Context()); err == nil {
		t.Error("no error without the program")
	}
	left, err := os.ReadDir(a.repo.Local())
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 0 {
		t.Errorf("left in .local: %v", left)
	}
}

func TestPreviewEnviron(t *testing.T) {
	t.Parallel()
	got := previewEnviron([]string{
		"PATH=/bin", "PULUMI_BACKEND_URL=gs://b", "PULUMI_CONFIG_PASSPHRASE=x", "GOOGLE_APPLICATION_CREDENTIALS=/key",
		"INGESTION_ENDPOINTS={}", "HOME=/root", "GOFLAGS=-x",
	})
	if d := cmp.Diff([]string{"PATH=/bin", "HOME=/root", "GOFLAGS=-x"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestFirstDifference(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ have, want, said string }{
		{"a\nb\n", "a\nb\n", ""},
		{"a\nb\n", "a\nc\n", `, line 2: "b" should be "c"`},
		{"", "a", `, line 1: "" should be "a"`},
		{"a", "a\nb", `, line 2: "nothing" should be "b"`},
	} {
		if got := firstDifference([]byte(tc.have), []byte(tc.want)); got != tc.said {
			t.Errorf("%q and %q: %q, want %q", tc.have, tc.want, got, tc.said)
		}
	}
}
