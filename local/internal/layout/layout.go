// Package layout knows where the local cloud keeps its files in the
// repository.
package layout

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Repo is the root folder of the repository.
type Repo string

// Find returns the repository that dir is in: the nearest folder upward with a
// go.work and local/go.mod.
func Find(dir string) (Repo, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for d := dir; ; d = filepath.Dir(d) {
		if exists(filepath.Join(d, "go.work")) && exists(filepath.Join(d, "local", "go.mod")) {
			return Repo(d), nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("%s is not inside the repository (no folder upward has go.work and local/go.mod); run this in a clone of it", dir)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Stacks lists the stacks that have a file Pulumi.STACK.yaml, in order.
func (r Repo) Stacks() ([]string, error) {
	files, err := filepath.Glob(r.Path("Pulumi.*.yaml"))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(filepath.Base(f), "Pulumi."), ".yaml"))
	}
	return names, nil
}

// Path returns a path in the repository.
func (r Repo) Path(elem ...string) string {
	return filepath.Join(append([]string{string(r)}, elem...)...)
}

// Local is the ignored folder with everything of the local cloud.
func (r Repo) Local(elem ...string) string {
	return r.Path(append([]string{".local"}, elem...)...)
}

// Bin returns the path of a built program.
func (r Repo) Bin(name string) string { return r.Local("bin", name) }

// State is the folder with all that one running cloud knows; down deletes it.
func (r Repo) State() string { return r.Local("state") }

// Logs is the folder of log files.
func (r Repo) Logs() string { return r.Local("logs") }

// Lock is the file that the one command which changes the cloud holds.
func (r Repo) Lock() string { return r.Local("lock") }
