package iam

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
)

// federation is the CEL environment of Workload Identity Federation: the claims
// of a token, and what was mapped of them.
// https://cloud.google.com/iam/docs/workload-identity-federation#mapping
var federation = sync.OnceValues(func() (*cel.Env, error) {
	claims := cel.MapType(cel.StringType, cel.DynType)
	return cel.NewEnv(cel.Variable("assertion", claims), cel.Variable("attribute", claims), cel.Variable("google", claims))
})

// ValidateAttributes finds what is wrong with the attribute mapping and the
// attribute condition of a workload identity provider.
func ValidateAttributes(mapping map[string]any, condition string) error {
	var errs []error
	for _, target := range slices.Sorted(maps.Keys(mapping)) {
		if name, ok := strings.CutPrefix(target, "attribute."); target != "google.subject" && target != "google.groups" && (!ok || name == "") {
			errs = append(errs, fmt.Errorf("mapping of %q: not google.subject, google.groups or attribute.NAME", target))
		}
		if expression, ok := mapping[target].(string); ok {
			if err := compileFederation(expression, false); err != nil {
				errs = append(errs, fmt.Errorf("mapping of %s: %w", target, err))
			}
		}
	}
	if condition != "" {
		if err := compileFederation(condition, true); err != nil {
			errs = append(errs, fmt.Errorf("condition %q: %w", condition, err))
		}
	}
	return errors.Join(errs...)
}

// compileFederation reads an expression over a token's claims. The program is
// not kept: no token comes here.
func compileFederation(expression string, condition bool) error {
	env, err := federation()
	if err != nil {
		return fmt.Errorf("building the CEL environment: %w", err)
	}
	tree, issues := env.Compile(expression)
	if err := issues.Err(); err != nil {
		return err
	}
	if condition && tree.OutputType() != cel.BoolType {
		return fmt.Errorf("it yields %s, not true or false", tree.OutputType())
	}
	_, err = env.Program(tree)
	return err
}
