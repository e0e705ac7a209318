package launch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"ingestion.internal/local/internal/layout"
	"ingestion.internal/local/internal/progress"
)

// enginePackage is the Pulumi CLI, pinned in tools/go.mod.
const enginePackage = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"

// The oldest pulumi on PATH that is used instead of building one.
const minMajor, minMinor = 3, 200

// engine puts the Pulumi CLI at .local/bin/pulumi: a link to the one on PATH
// if it is recent enough, otherwise built from its module. A stamp beside it
// says what it came from, so that a second run does not even ask Go.
func engine(ctx context.Context, repo layout.Repo, it *progress.Item) (string, error) {
	bin, stampFile := repo.Bin("pulumi"), repo.Bin(".pulumi.from")
	if path, err := exec.LookPath("pulumi"); err == nil {
		path, err = filepath.Abs(path)
		if err != nil {
			return "", err
		}
		if samePlace(path, bin) {
			// .local/bin itself is on PATH.
			path = ""
		}
		if path != "" {
			stamp, err := stampOf(path)
			if err != nil {
				return "", err
			}
			it.Note("asking %s for its version", path)
			if fresh(bin, stampFile, stamp) {
				return "pulumi on PATH", nil
			}
			out, err := command(ctx, string(repo), path, "version").Output()
			if v := strings.TrimSpace(string(out)); err == nil && Suitable(v) {
				if err := os.Remove(bin); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return "", err
				}
				if err := os.Symlink(path, bin); err != nil {
					return "", err
				}
				return "pulumi " + v + " on PATH", os.WriteFile(stampFile, stamp, 0o644)
			}
		}
	}

	tools := repo.Path("tools")
	var stamp []byte
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(tools, name))
		if err != nil {
			return "", err
		}
		stamp = append(stamp, b...)
	}
	stamp = append(stamp, runtime.Version()+" "+runtime.GOOS+"/"+runtime.GOARCH+"\n"...)
	if fresh(bin, stampFile, stamp) {
		return "up to date", nil
	}
	// Not written through a link to somebody's pulumi.
	if err := os.Remove(bin); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	result, err := goBuild(tools, []string{"GOWORK=off"}, noSymbols, "-o", bin, enginePackage)(ctx, repo, it)
	if err != nil {
		return "", err
	}
	return result, os.WriteFile(stampFile, stamp, 0o644)
}

// fresh reports whether bin is there and came from what stamp says.
func fresh(bin, stampFile string, stamp []byte) bool {
	if _, err := os.Stat(bin); err != nil {
		return false
	}
	old, err := os.ReadFile(stampFile)
	return err == nil && bytes.Equal(old, stamp)
}

// stampOf tells one version of a file from another.
func stampOf(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "PATH %s %d %d\n", path, st.Size(), st.ModTime().UnixNano()), nil
}

func samePlace(a, b string) bool {
	sa, errA := os.Lstat(a)
	sb, errB := os.Lstat(b)
	return errA == nil && errB == nil && os.SameFile(sa, sb)
}

// Suitable reports whether a pulumi of this version (v3.256.0) drives the
// local stack.
func Suitable(version string) bool {
	v, ok := strings.CutPrefix(version, "v")
	if !ok {
		return false
	}
	v, _, _ = strings.Cut(v, "-")
	parts := strings.Split(v, ".")
	if len(parts) != 3 {
		return false
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	return err1 == nil && err2 == nil && major == minMajor && minor >= minMinor
}
