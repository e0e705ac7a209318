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
// that it can: the three stacks as they are, and some with options that none of
// them sets. Tests of rules that hold for every resource walk all of them.
func variants(t *testing.T) map[string]*settings {
	t.Helper()
	all := map[string]*settings{}
	for _, stack := range stacks {
		all[stack] = deployable(t, stack)
	}
	all["prod with everything on"] = everythingOn(t)
	return all
}

// everythingOn is prod with a tenant and every optional family. A family that
// config switches on has its line here.
func everythingOn(t *testing.T) *settings {
	t.Helper()
	s := deployable(t, "prod")
	s.set("ingestion:budget", map[string]any{"billingAccount": "012345-6789AB-CDEF01", "projectNumber": "123456789012"})
	s.edit(t, "ingestion:spanner", func(m map[string]any) {
		m["createInstance"] = true
		m["autoscaling"] = map[string]any{"minProcessingUnits": 1000, "maxProcessingUnits": 5000, "cpuPercent": 65, "storagePercent": 90}
	})
	s.set("ingestion:tenants", map[string]any{"acme-remodeling": map[string]any{
		"name": "Acme Remodeling",
		"secrets": map[string]any{
			"callrailSigningKey": map[string]any{"secure": ""},
			"callrailApiKey":     map[string]any{"secure": ""},
		},
		"offices": map[string]any{"main": map[string]any{
			"name": "Main office", "callrailAccountId": "ACC1", "callrailCompanyId": "123456789",
		}},
	}})
	return s
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
				t.Errorf("%s can register %s, but no variant does; switch it on in everythingOn", entry.Name(), typ)
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
