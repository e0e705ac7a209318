package contract

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	codeSpan     = regexp.MustCompile("`([^`]+)`")
	namedTest    = regexp.MustCompile(`^((?:Test|Fuzz)\w+)(?:/(.*))?$`)
)

// tests are the source files of tests, and the functions in them by folder.
func tests(t *testing.T) (functions map[string][]string, text map[string]string) {
	t.Helper()
	functions, text = map[string][]string{}, map[string]string{}
	err := filepath.WalkDir(repository, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && path != repository && entry.Name() != "..":
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(repository, filepath.Dir(path))
		if err != nil {
			return err
		}
		folder = filepath.ToSlash(folder)
		text[folder] += string(source)
		for _, m := range testFunction.FindAllStringSubmatch(string(source), -1) {
			functions[m[1]] = append(functions[m[1]], folder)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return functions, text
}

// The tests that the pages name as their proof are there, in the package that
// they name.
func TestPagesNameTestsThatExist(t *testing.T) {
	functions, text := tests(t)
	named := 0
	for _, page := range []string{"docs/failures.md", "docs/abuse.md"} {
		data, err := os.ReadFile(filepath.Join(repository, filepath.FromSlash(page)))
		if err != nil {
			t.Fatal(err)
		}
		for number, line := range strings.Split(string(data), "\n") {
			folder := ""
			for _, span := range codeSpan.FindAllStringSubmatch(line, -1) {
				m := namedTest.FindStringSubmatch(span[1])
				if m == nil {
					folder = "" // what stands between is about something else
					if text[span[1]] != "" {
						folder = span[1]
					}
					continue
				}
				named++
				found := false
				for _, at := range functions[m[1]] {
					if (folder == "" || at == folder) && strings.Contains(text[at], strings.TrimSuffix(m[2], "/")) {
						found = true
					}
				}
				if !found {
					t.Errorf("%s:%d: there is no %s %s", page, number+1, folder, span[1])
				}
			}
		}
	}
	if named < 50 {
		t.Errorf("only %d tests are named", named)
	}
}
