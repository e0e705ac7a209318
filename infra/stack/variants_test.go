package stack

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// variants are configs that between them make the program register everything
// that it can: the three stacks as they are, and one with every option on. Tests of rules that hold for every resource walk all of them.
func variants(t *testing.T) map[string]*settings {
	t.Helper()
	all := map[string]*settings{}
	for _, stack := range stacks {
		all[stack] = deployable(t, stack)
	}
	all["everything"] = everything(t)
	return all
}

// TestVariantsRegisterEveryType finds what the program can register in its own
// source, and fails for a family that no variant switches on: nothing would
// check it.
func TestVariantsRegisterEveryType(t *testing.T) {
	registers := map[string]bool{}
	for _, s := range variants(t) {
		for _, r := range mustRun(t, s).resources {
			registers[r.Type] = true
		}
	}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, entry := range files {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), entry.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for typ := range constructed(file) {
			found++
			if !registers[typ] {
				t.Errorf("%s can register %s, but no variant does; switch it on in everything (everything_test.go)", entry.Name(), typ)
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d constructors found in the program's source", found)
	}
}

// constructed returns the types whose constructor a file calls:
// cloudtasks.NewQueue is of gcp:cloudtasks/queue:Queue.
func constructed(file *ast.File) map[string]bool {
	modules := map[string]string{} // by local name
	for _, spec := range file.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		if !strings.Contains(p, "/pulumi-gcp/sdk/") {
			continue
		}
		name := path.Base(p)
		local := name
		if spec.Name != nil {
			local = spec.Name.Name
		}
		modules[local] = name
	}
	types := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		pkg, ok := sel.X.(*ast.Ident)
		name, isNew := strings.CutPrefix(sel.Sel.Name, "New")
		if ok && isNew && modules[pkg.Name] != "" {
			first := []rune(name)
			first[0] = unicode.ToLower(first[0])
			types["gcp:"+modules[pkg.Name]+"/"+string(first)+":"+name] = true
		}
		return true
	})
	return types
}
