// Command typefacts takes facts of types from a schema of the gcp provider into
// infra/typefacts/facts.json.
package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ingestion.internal/infra/typefacts"
)

const usage = `Usage: go run ./infra/cmd/typefacts SCHEMA_FILE [TYPE...]

Brings infra/typefacts/facts.json up to date with a schema of the gcp provider,
and takes in the types named, such as gcp:cloudtasks/queue:Queue. To be run in
the root of the repository. The schema of the SDK's version is printed by
pulumi package get-schema gcp@VERSION.
`

func main() {
	err := run(os.Args[1:], os.Stdout)
	switch {
	case errors.Is(err, errUsage):
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage")

func run(args []string, stdout io.Writer) error {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return errUsage
	}
	mod, err := os.ReadFile(filepath.Join("infra", "go.mod"))
	if err != nil {
		return err
	}
	version, err := typefacts.SDKVersion(mod)
	if err != nil {
		return err
	}
	facts, err := typefacts.Load()
	if err != nil {
		return err
	}
	tokens := slices.Sorted(maps.Keys(facts.Resources))
	for _, token := range args[1:] {
		if !slices.Contains(tokens, token) {
			tokens = append(tokens, token)
			fmt.Fprintln(stdout, "new:", token)
		}
	}
	schema, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer schema.Close()
	if facts, err = typefacts.Extract(schema, version, tokens); err != nil {
		return err
	}
	text, err := facts.Encode()
	if err != nil {
		return err
	}
	file := filepath.Join("infra", "typefacts", "facts.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: %d types of the provider %s\n", file, len(facts.Resources), version)
	return nil
}
