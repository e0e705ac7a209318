package launch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/local/internal/layout"
	"ingestion.internal/local/internal/progress"
)

func item(t *testing.T) *progress.Item {
	t.Helper()
	b := progress.NewPlain(io.Discard)
	t.Cleanup(b.Close)
	return b.Start("x", "")
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func TestReadOutput(t *testing.T) {
	t.Parallel()
	got := readOutput(strings.NewReader(`go: downloading example.com/m v1.2.3
internal/goarch
example.com/m/pkg
# example.com/m/bad
./bad.go:3:1: syntax error
`+strings.Repeat("x", 2<<20)+"\nlost\n"), item(t))
	want := output{fetched: 1, compiled: 2, rest: []string{"# example.com/m/bad", "./bad.go:3:1: syntax error"}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(output{})); d != "" {
		t.Error(d)
	}
	for o, want := range map[*output]string{
		{}:                        "up to date",
		{compiled: 3}:             "3 packages compiled",
		{fetched: 2, compiled: 3}: "2 modules fetched, 3 packages compiled",
	} {
		if got := o.result(); got != want {
			t.Errorf("result %q, want %q", got, want)
		}
	}
}

func TestGoBuildShowsTheCompilersWords(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module m\n\ngo 1.26\n", 0o644)
	write(t, filepath.Join(dir, "main.go"), "package main\n\nfunc main() { undefined() }\n", 0o644)
	_, err := goBuild(dir, []string{"GOWORK=off"}, "./...")(t.Context(), layout.Repo(dir), item(t))
	if err == nil || !strings.Contains(err.Error(), "undefined: undefined") || !strings.Contains(err.Error(), "run this again") {
		t.Errorf("error %v", err)
	}
	write(t, filepath.Join(dir, "main.go"), "package main\n\nfunc main() {}\n", 0o644)
	if _, err := goBuild(dir, []string{"GOWORK=off"}, "./...")(t.Context(), layout.Repo(dir), item(t)); err != nil {
		t.Error(err)
	}
}

// A build that is told to end takes the children that it started along.
func TestCommandEndsItsGroup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// The grandchild keeps the pipe open: reading to its end proves that it is
	// gone too.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := command(ctx, dir, "sh", "-c", "sleep 600 & echo started; wait")
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	line := make([]byte, len("started\n"))
	if _, err := io.ReadFull(r, line); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := cmd.Wait(); err == nil {
		t.Error("it ended by itself")
	}
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestRunAllReportsEveryFailure(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	b := progress.NewPlain(&out)
	failing := func(text string) func(context.Context, layout.Repo, *progress.Item) (string, error) {
		return func(context.Context, layout.Repo, *progress.Item) (string, error) { return "", errors.New(text) }
	}
	err := runAll(t.Context(), "", b, []step{{"one", failing("bad 1")}, {"two", failing("bad 2")},
		{"three", func(context.Context, layout.Repo, *progress.Item) (string, error) { return "fine", nil }}})
	b.Close()
	if err == nil || err.Error() != "one: bad 1\ntwo: bad 2" {
		t.Errorf("error %v", err)
	}
	if !strings.Contains(out.String(), "fine") || strings.Count(out.String(), "✗") != 2 {
		t.Errorf("shown:\n%s", out.String())
	}
}

func TestSuitable(t *testing.T) {
	t.Parallel()
	for v, want := range map[string]bool{
		"v3.200.0": true, "v3.256.0": true, "v3.300.1-dev.0": true,
		"v3.199.9": false, "v4.0.0": false, "v2.300.0": false, "": false, "3.256.0": false, "v3": false, "v3.x.0": false,
	} {
		if got := Suitable(v); got != want {
			t.Errorf("Suitable(%q) = %v", v, got)
		}
	}
}

// The engine on PATH is linked if it is recent enough, and asked only once.
func TestEngineOnPath(t *testing.T) {
	repo := layout.Repo(t.TempDir())
	write(t, repo.Bin("keep"), "", 0o644)
	asked := repo.Path("asked")
	fake := repo.Path("path", "pulumi")
	write(t, fake, "#!/bin/sh\necho x >> "+asked+"\necho v3.256.0\n", 0o755)
	t.Setenv("PATH", filepath.Dir(fake)+string(os.PathListSeparator)+os.Getenv("PATH"))
	for range 2 {
		if _, err := engine(t.Context(), repo, item(t)); err != nil {
			t.Fatal(err)
		}
	}
	if target, err := os.Readlink(repo.Bin("pulumi")); err != nil || target != fake {
		t.Errorf("link to %q, %v", target, err)
	}
	if b, err := os.ReadFile(asked); err != nil || string(b) != "x\n" {
		t.Errorf("asked %q, %v", b, err)
	}

	// An old one is not used: the engine is built, which this empty repository
	// cannot.
	write(t, fake, "#!/bin/sh\necho v3.100.0\n", 0o755)
	if _, err := engine(t.Context(), repo, item(t)); err == nil || !strings.Contains(err.Error(), filepath.Join("tools", "go.mod")) {
		t.Errorf("an old pulumi: %v", err)
	}
}

func TestAdvice(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"write /tmp/x: no space left on device": "disk space",
		"dial tcp: lookup proxy.golang.org":     "GOPROXY",
		"x.go:1:1: undefined: y":                "Mend what the compiler names",
	} {
		e := &buildError{dir: "d", args: []string{"go", "build"}, output: []string{line}, cause: errors.New("exit status 1")}
		if !strings.Contains(e.Error(), line) || !strings.Contains(e.Error(), want) {
			t.Errorf("%q: %v", line, e)
		}
	}
}
