package launch

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"ingestion.internal/local/internal/layout"
	"ingestion.internal/local/internal/progress"
)

// grace is how long a build may take to end after it is told to.
const grace = 5 * time.Second

// command prepares a child in its own process group, which is told to end when
// ctx is done.
func command(ctx context.Context, dir, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = grace
	return cmd
}

// goBuild returns a step that runs go build in dir with more environment.
func goBuild(dir string, env []string, args ...string) func(context.Context, layout.Repo, *progress.Item) (string, error) {
	return goCommand(dir, env, append([]string{"build"}, args...)...)
}

// goCommand is goBuild for any command of Go that compiles.
func goCommand(dir string, env []string, args ...string) func(context.Context, layout.Repo, *progress.Item) (string, error) {
	return func(ctx context.Context, _ layout.Repo, it *progress.Item) (string, error) {
		it.Note("checking what changed, linking")
		cmd := command(ctx, dir, "go", append([]string{args[0], "-v", "-buildvcs=false"}, args[1:]...)...)
		cmd.Env = append(os.Environ(), env...)
		stderr, err := cmd.StderrPipe()
		if err != nil {
			return "", err
		}
		if err := cmd.Start(); err != nil {
			return "", fmt.Errorf("%w (the Go toolchain must be on PATH)", err)
		}
		o := readOutput(stderr, it)
		if err := cmd.Wait(); err != nil {
			if ctx.Err() != nil {
				return "", ctx.Err()
			}
			return "", &buildError{dir: dir, args: cmd.Args, output: o.rest, cause: err}
		}
		return o.result(), nil
	}
}

// output is what go build -v said.
type output struct {
	fetched, compiled int
	rest              []string // everything but progress: the compiler's words
}

// maxRest bounds what is kept of a failing build's output.
const maxRest = 200

// readOutput tells progress lines (go: downloading M V; PACKAGE) from the rest.
func readOutput(r io.Reader, it *progress.Item) output {
	var o output
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		line := sc.Text()
		switch module, ok := strings.CutPrefix(line, "go: downloading "); {
		case ok:
			o.fetched++
			it.Note("fetching modules: %d (%s)", o.fetched, module)
		case isPackage(line):
			o.compiled++
			it.Note("compiling: %d packages (%s)", o.compiled, line)
		case len(o.rest) < maxRest:
			o.rest = append(o.rest, line)
		}
	}
	_, _ = io.Copy(io.Discard, r) // a line too long ends the scan; the build must not block on it
	return o
}

// isPackage reports whether a line is an import path alone.
func isPackage(line string) bool {
	return line != "" && !strings.ContainsAny(line, " :\t#()")
}

func (o output) result() string {
	switch {
	case o.fetched > 0:
		return fmt.Sprintf("%d modules fetched, %d packages compiled", o.fetched, o.compiled)
	case o.compiled > 0:
		return fmt.Sprintf("%d packages compiled", o.compiled)
	}
	return "up to date"
}

// buildError is a failed go command with the compiler's words and what to do.
type buildError struct {
	dir    string
	args   []string
	output []string
	cause  error
}

func (e *buildError) Unwrap() error { return e.cause }

func (e *buildError) Error() string {
	return fmt.Sprintf("go %s failed in %s (%v):\n\n    %s\n\n%s",
		e.args[1], e.dir, e.cause, strings.Join(e.output, "\n    "), e.advice())
}

// advice says what to do next, by the words of the Go command.
func (e *buildError) advice() string {
	text := strings.Join(e.output, "\n")
	for _, a := range []struct{ sign, do string }{
		{"no space left on device", "Free disk space (the build needs about 6 GB the first time) and run this again."},
		{"dial tcp", "The module proxy cannot be reached: check the network or GOPROXY, and run this again; what is fetched is kept."},
		{"i/o timeout", "The module proxy did not answer in time: run this again; what is fetched is kept."},
		{"TLS handshake", "The module proxy cannot be reached: check the network or GOPROXY, and run this again; what is fetched is kept."},
		{"checksum mismatch", "A module is not what go.sum says: check GOPROXY, and run go clean -modcache if it stays so."},
		{"requires go >=", "Install the Go version that it names (go.dev/dl) or allow GOTOOLCHAIN=auto."},
		{"signal: killed", "The compiler was killed, most likely for lack of memory (4 GB are needed): close something and run this again."},
	} {
		if strings.Contains(text, a.sign) {
			return a.do
		}
	}
	return "Mend what the compiler names and run this again; what compiled is kept."
}
