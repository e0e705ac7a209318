package iam

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"ingestion.internal/local/cloud"
)

// maxOperators is the most logical operators that the IAM API accepts in one
// condition.
const maxOperators = 12

// conditionFunctions are the operators and functions that IAM conditions know;
// CEL itself has more, which the IAM API refuses.
var conditionFunctions = map[string]bool{
	operators.LogicalAnd: true, operators.LogicalOr: true, operators.LogicalNot: true,
	operators.Equals: true, operators.NotEquals: true, operators.In: true,
	operators.Less: true, operators.LessEquals: true, operators.Greater: true, operators.GreaterEquals: true,
	operators.Add: true, operators.Subtract: true,
	"api.getAttribute": true, "hasOnly": true,
	"startsWith": true, "endsWith": true, "extract": true,
	"timestamp": true, "duration": true,
	"getFullYear": true, "getMonth": true, "getDate": true, "getDayOfMonth": true, "getDayOfWeek": true,
	"getDayOfYear": true, "getHours": true, "getMinutes": true, "getSeconds": true, "getMilliseconds": true,
}

// environment is the CEL environment of IAM conditions.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.ClearMacros(),
		cel.Variable("resource.name", cel.StringType),
		cel.Variable("resource.type", cel.StringType),
		cel.Variable("resource.service", cel.StringType),
		cel.Variable("request.time", cel.TimestampType),
		// What a call changes of a policy: nobody changes one here but the
		// program, so it is always the default.
		// https://cloud.google.com/iam/docs/conditions-attribute-reference#api-attributes
		cel.Function("api.getAttribute", cel.Overload("get_attribute",
			[]*cel.Type{cel.StringType, cel.ListType(cel.StringType)}, cel.ListType(cel.StringType),
			cel.BinaryBinding(func(_, otherwise ref.Val) ref.Val { return otherwise }))),
		cel.Function("hasOnly", cel.MemberOverload("list_has_only",
			[]*cel.Type{cel.ListType(cel.StringType), cel.ListType(cel.StringType)}, cel.BoolType,
			cel.BinaryBinding(hasOnly))),
		cel.Function("extract", cel.MemberOverload("string_extract", []*cel.Type{cel.StringType, cel.StringType}, cel.StringType,
			cel.BinaryBinding(func(value, template ref.Val) ref.Val {
				out, err := extract(string(value.(types.String)), string(template.(types.String)))
				if err != nil {
					return types.WrapErr(err)
				}
				return types.String(out)
			}))),
	)
})

// hasOnly tells whether each element of a list is in another one.
func hasOnly(list, allowed ref.Val) ref.Val {
	members := allowed.(traits.Container)
	for it := list.(traits.Iterable).Iterator(); it.HasNext() == types.True; {
		if in := members.Contains(it.Next()); in != types.True {
			return in
		}
	}
	return types.True
}

// program is a compiled condition.
type program struct{ cel.Program }

// compile reads the expression of a condition and refuses what the IAM API
// would.
func compile(expression string) (*program, error) {
	env, err := environment()
	if err != nil {
		return nil, fmt.Errorf("building the CEL environment: %w", err)
	}
	tree, issues := env.Compile(expression)
	if err := issues.Err(); err != nil {
		return nil, err
	}
	if tree.OutputType() != cel.BoolType {
		return nil, fmt.Errorf("it yields %s, not true or false", tree.OutputType())
	}
	var errs []error
	logical := 0
	ast.PreOrderVisit(tree.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind {
			return
		}
		call := e.AsCall()
		name := call.FunctionName()
		if !conditionFunctions[name] {
			errs = append(errs, fmt.Errorf("IAM conditions have no %s", strings.Trim(name, "_")))
		}
		switch name {
		case operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot:
			logical++
		case "extract":
			if args := call.Args(); len(args) == 1 && args[0].Kind() == ast.LiteralKind {
				if _, err := extract("", string(args[0].AsLiteral().(types.String))); err != nil {
					errs = append(errs, err)
				}
			}
		}
	}))
	if logical > maxOperators {
		errs = append(errs, fmt.Errorf("it has %d logical operators; the API accepts %d", logical, maxOperators))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	p, err := env.Program(tree)
	if err != nil {
		return nil, err
	}
	return &program{p}, nil
}

// holds evaluates the condition. One that fails to evaluate does not hold, as
// in the cloud.
func (p *program) holds(res cloud.Resource, now time.Time) bool {
	out, _, err := p.Eval(map[string]any{
		"resource.name": res.Name, "resource.type": res.Type, "resource.service": res.Service, "request.time": now,
	})
	return err == nil && out == types.True
}

// extract implements the member function extract of IAM conditions: it returns
// what stands in value at the place of the template's one {placeholder}, up to
// the next occurrence of the text after it, or to the end if there is none. It
// returns "" where value does not match, and an error for a template that has
// not exactly one placeholder.
// https://cloud.google.com/iam/docs/conditions-attribute-reference#extract
func extract(value, template string) (string, error) {
	before, rest, open := strings.Cut(template, "{")
	name, after, closed := strings.Cut(rest, "}")
	if !open || !closed || name == "" || strings.ContainsAny(before, "}") || strings.ContainsAny(name, "{") || strings.ContainsAny(after, "{}") {
		return "", fmt.Errorf("extract template %q has not exactly one {placeholder}", template)
	}
	_, tail, ok := strings.Cut(value, before)
	if !ok {
		return "", nil
	}
	if after == "" {
		return tail, nil
	}
	out, _, ok := strings.Cut(tail, after)
	if !ok {
		return "", nil
	}
	return out, nil
}
