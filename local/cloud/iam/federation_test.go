package iam

import (
	"strings"
	"testing"
)

func TestAttributes(t *testing.T) {
	t.Parallel()
	subject := map[string]any{"google.subject": "assertion.sub"}
	for name, tt := range map[string]struct {
		mapping   map[string]any
		condition string
		want      string // part of the error, "" = none
	}{
		"right":       {map[string]any{"google.subject": "assertion.sub", "attribute.plan": "assertion.repository"}, `assertion.repository == "a/b" && assertion.event_name in ["push"]`, ""},
		"no_operator": {subject, `assertion.repository = "a/b"`, "Syntax error"},
		"no_bool":     {subject, `"a/b"`, "it yields string"},
		"unknown":     {subject, `claims.repository == "a/b"`, "undeclared reference"},
		"target":      {map[string]any{"google.subject": "assertion.sub", "plan": "assertion.sub"}, "true", `mapping of "plan"`},
		"expression":  {map[string]any{"google.subject": "assertion."}, "true", "mapping of google.subject"},
	} {
		err := ValidateAttributes(tt.mapping, tt.condition)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func TestLimitsOnGranting(t *testing.T) {
	t.Parallel()
	const limit = `api.getAttribute('iam.googleapis.com/modifiedGrantsByRole', []).hasOnly(['roles/speech.client'])`
	p, err := compile(limit)
	if err != nil {
		t.Fatal(err)
	}
	if p == nil {
		t.Error("no program")
	}
	for expression, want := range map[string]bool{
		`['a', 'b'].hasOnly(['b', 'a', 'c'])`: true,
		`['a', 'b'].hasOnly(['a'])`:           false,
	} {
		env, err := environment()
		if err != nil {
			t.Fatal(err)
		}
		tree, issues := env.Compile(expression)
		if issues.Err() != nil {
			t.Fatal(issues.Err())
		}
		program, err := env.Program(tree)
		if err != nil {
			t.Fatal(err)
		}
		if out, _, err := program.Eval(map[string]any{}); err != nil || out.Value() != want {
			t.Errorf("%s: %v, %v, want %t", expression, out, err, want)
		}
	}
}
