package iam

import (
	"errors"
	"strings"
	"testing"
	"time"

	"ingestion.internal/local/cloud"
)

const (
	alice = "serviceAccount:alice@p.iam.gserviceaccount.com"
	bob   = "serviceAccount:bob@p.iam.gserviceaccount.com"
)

func secretVersion(id string) cloud.Resource {
	return cloud.Resource{
		Service: "secretmanager.googleapis.com", Type: "secretmanager.googleapis.com/SecretVersion",
		Name: "projects/123/secrets/" + id + "/versions/1",
	}
}

func newPolicy(t *testing.T, grants ...Grant) *Policy {
	t.Helper()
	p := New("p", "123")
	p.now = func() time.Time { return time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC) }
	p.AddAccount(strings.TrimPrefix(alice, "serviceAccount:"))
	p.AddAccount(strings.TrimPrefix(bob, "serviceAccount:"))
	for _, g := range grants {
		if err := p.Grant(g); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func TestCheck(t *testing.T) {
	const (
		access   = "secretmanager.versions.access"
		accessor = "roles/secretmanager.secretAccessor"
		sm       = "secretmanager.googleapis.com"
	)
	byPrefix := &Condition{Title: "keys", Expression: `resource.name.extract("/secrets/{id}").startsWith("signing-key-")`}
	tests := []struct {
		name       string
		grant      Grant
		principal  string
		permission string
		res        cloud.Resource
		want       bool
	}{
		{"on the project", Grant{Service: Project, Resource: "projects/p", Role: accessor, Member: alice}, alice, access, secretVersion("s"), true},
		{"on another project", Grant{Service: Project, Resource: "projects/q", Role: accessor, Member: alice}, alice, access, secretVersion("s"), false},
		{"on the parent, by id", Grant{Service: sm, Resource: "projects/p/secrets/s", Role: accessor, Member: alice}, alice, access, secretVersion("s"), true},
		{"on the parent, by number", Grant{Service: sm, Resource: "projects/123/secrets/s", Role: accessor, Member: alice}, alice, access, secretVersion("s"), true},
		{"on a sibling with the same beginning", Grant{Service: sm, Resource: "projects/p/secrets/s", Role: accessor, Member: alice}, alice, access, secretVersion("s2"), false},
		{"same name in another service", Grant{Service: "run.googleapis.com", Resource: "projects/p/secrets/s", Role: accessor, Member: alice}, alice, access, secretVersion("s"), false},
		{"to somebody else", Grant{Service: Project, Resource: "projects/p", Role: accessor, Member: bob}, alice, access, secretVersion("s"), false},
		{"of another role", Grant{Service: Project, Resource: "projects/p", Role: "roles/run.invoker", Member: alice}, alice, access, secretVersion("s"), false},
		{"to everybody", Grant{Service: Project, Resource: "projects/p", Role: accessor, Member: "allUsers"}, "", access, secretVersion("s"), true},
		{"to everybody known, nobody", Grant{Service: Project, Resource: "projects/p", Role: accessor, Member: "allAuthenticatedUsers"}, "", access, secretVersion("s"), false},
		{"to everybody known", Grant{Service: Project, Resource: "projects/p", Role: accessor, Member: "allAuthenticatedUsers"}, alice, access, secretVersion("s"), true},
		{"condition holds", Grant{Service: Project, Resource: "projects/p", Role: accessor, Member: alice, Condition: byPrefix}, alice, access, secretVersion("signing-key-a"), true},
		{"condition does not hold", Grant{Service: Project, Resource: "projects/p", Role: accessor, Member: alice, Condition: byPrefix}, alice, access, secretVersion("api-key-a"), false},
		{"before its end", Grant{Service: Project, Resource: "projects/p", Role: accessor, Member: alice,
			Condition: &Condition{Title: "t", Expression: `request.time < timestamp("2027-01-01T00:00:00Z")`}}, alice, access, secretVersion("s"), true},
		{"after its end", Grant{Service: Project, Resource: "projects/p", Role: accessor, Member: alice,
			Condition: &Condition{Title: "t", Expression: `request.time < timestamp("2026-01-01T00:00:00Z")`}}, alice, access, secretVersion("s"), false},
		{"by service and type", Grant{Service: Project, Resource: "projects/p", Role: accessor, Member: alice,
			Condition: &Condition{Title: "t", Expression: `resource.service == "secretmanager.googleapis.com" && resource.type.endsWith("/SecretVersion")`}}, alice, access, secretVersion("s"), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newPolicy(t, test.grant)
			err := p.Check(t.Context(), test.principal, test.permission, test.res)
			if (err == nil) != test.want {
				t.Errorf("Check = %v, want allowed %v", err, test.want)
			}
			p.Revoke(test.grant)
			if p.Check(t.Context(), test.principal, test.permission, test.res) == nil {
				t.Error("Check after Revoke allows")
			}
		})
	}
}

func TestDeniedNamesTheMissingGrant(t *testing.T) {
	err := newPolicy(t).Check(t.Context(), alice, "secretmanager.versions.access", secretVersion("s"))
	denied, ok := errors.AsType[*cloud.Denied](err)
	if !ok {
		t.Fatalf("Check = %v, want a *cloud.Denied", err)
	}
	want := cloud.Denied{
		Principal: alice, Permission: "secretmanager.versions.access",
		Resource: "//secretmanager.googleapis.com/projects/p/secrets/s/versions/1", Role: "roles/secretmanager.secretAccessor",
	}
	if *denied != want {
		t.Errorf("Check = %+v, want %+v", *denied, want)
	}
}

func TestLeastRole(t *testing.T) {
	for permission, want := range map[string]string{
		"cloudtasks.tasks.create":       "roles/cloudtasks.enqueuer",
		"run.routes.invoke":             "roles/run.invoker",
		"iam.serviceAccounts.actAs":     "roles/iam.serviceAccountUser",
		"storage.objects.create":        "roles/storage.objectCreator",
		"storage.objects.get":           "roles/storage.objectViewer",
		"speech.recognizers.recognize":  "roles/speech.client",
		"aiplatform.endpoints.predict":  "roles/aiplatform.user",
		"no.such.permission":            "a role with no.such.permission",
		"secretmanager.versions.access": "roles/secretmanager.secretAccessor",
	} {
		if got := leastRole(permission); got != want {
			t.Errorf("leastRole(%s) = %s, want %s", permission, got, want)
		}
	}
}

func TestAccountsAndCustomRoles(t *testing.T) {
	p := newPolicy(t)
	g := Grant{Service: Project, Resource: "projects/p", Role: "projects/p/roles/reader", Member: alice}
	if err := p.Grant(g); err == nil {
		t.Error("granting a custom role that does not exist succeeded")
	}
	p.DefineRole("projects/p/roles/reader", []string{"secretmanager.versions.access"})
	if err := p.Grant(g); err != nil {
		t.Fatal(err)
	}
	if err := p.Check(t.Context(), alice, "secretmanager.versions.access", secretVersion("s")); err != nil {
		t.Errorf("Check through the custom role: %v", err)
	}
	p.RemoveAccount(strings.TrimPrefix(alice, "serviceAccount:"))
	if p.Check(t.Context(), alice, "secretmanager.versions.access", secretVersion("s")) == nil {
		t.Error("Check of a deleted account allows")
	}
	if err := p.Grant(g); err == nil || !strings.Contains(err.Error(), "alice@p.iam.gserviceaccount.com does not exist") {
		t.Errorf("granting to a deleted account = %v, want that it does not exist", err)
	}
}

func TestValidate(t *testing.T) {
	ok := Grant{Service: Project, Resource: "projects/p", Role: "roles/run.invoker", Member: alice}
	with := func(change func(*Grant)) Grant { g := ok; change(&g); return g }
	cond := func(expression string) Grant {
		return with(func(g *Grant) { g.Condition = &Condition{Title: "t", Expression: expression} })
	}
	tests := []struct {
		name  string
		grant Grant
		want  []string
	}{
		{"good", ok, nil},
		{"unknown role", with(func(g *Grant) { g.Role = "roles/run.invokr" }), []string{"roles/run.invokr", "local/cloud/iam/roles.go"}},
		{"no role name", with(func(g *Grant) { g.Role = "run.invoker" }), []string{"neither"}},
		{"member without kind", with(func(g *Grant) { g.Member = "a@b" }), []string{"KIND:ID"}},
		{"member of an unknown kind", with(func(g *Grant) { g.Member = "robot:a@b" }), []string{"unknown kind"}},
		{"member without address", with(func(g *Grant) { g.Member = "serviceAccount:alice" }), []string{"email"}},
		{"everything at once", Grant{Role: "x", Member: "y", Condition: &Condition{Expression: "1"}}, []string{"neither", "KIND:ID", "title", "not true or false"}},
		{"syntax", cond(`resource.name.startsWith(`), []string{"Syntax error"}},
		{"unknown attribute", cond(`resource.nam == "x"`), []string{"undeclared"}},
		{"not boolean", cond(`resource.name`), []string{"not true or false"}},
		{"not in IAM", cond(`resource.name.matches("a.*")`), []string{"IAM conditions have no matches"}},
		{"bad template", cond(`resource.name.extract("/secrets/id") == "x"`), []string{"placeholder"}},
		{"too many operators", cond(strings.TrimSuffix(strings.Repeat(`resource.name == "x" || `, 14), " || ")), []string{"13 logical operators"}},
		{"basic role under a condition", with(func(g *Grant) {
			g.Role, g.Condition = "roles/editor", &Condition{Title: "t", Expression: "true"}
		}), []string{"basic role"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := Validate(test.grant)
			if (err != nil) != (len(test.want) > 0) {
				t.Fatalf("Validate = %v, want %q", err, test.want)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("Validate = %v, want it to say %q", err, want)
				}
			}
		})
	}
}

func TestExtract(t *testing.T) {
	tests := []struct{ value, template, want string }{
		{"projects/_/buckets/b/objects/a/order/7/x", "/order/{id}/", "7"},
		{"projects/1/secrets/key-a/versions/2", "/secrets/{id}", "key-a/versions/2"},
		{"projects/1/secrets/key-a/versions/2", "projects/{p}/", "1"},
		{"projects/1", "{all}", "projects/1"},
		{"projects/1", "/secrets/{id}", ""},
		{"projects/1/secrets/x", "/secrets/{id}/versions", ""},
	}
	for _, test := range tests {
		if got, err := extract(test.value, test.template); got != test.want || err != nil {
			t.Errorf("extract(%q, %q) = %q, %v, want %q", test.value, test.template, got, err, test.want)
		}
	}
	for _, template := range []string{"", "none", "{}", "{a", "a}", "{a}{b}", "a}{b}", "{a{b}}"} {
		if _, err := extract("x", template); err == nil {
			t.Errorf("extract template %q was accepted", template)
		}
	}
}

func FuzzCompile(f *testing.F) {
	f.Add(`resource.name.extract("/secrets/{id}").startsWith("x")`)
	f.Add(`!(request.time < timestamp("2026-01-01T00:00:00Z")) || resource.type == "x"`)
	f.Fuzz(func(t *testing.T, expression string) {
		p, err := compile(expression)
		if err != nil {
			return
		}
		p.holds(secretVersion("s"), time.Now()) // must not panic, whatever it yields
	})
}
