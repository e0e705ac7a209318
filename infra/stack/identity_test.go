package stack

import (
	"slices"
	"strings"
	"testing"

	"cel.dev/cel-go/cel"
	"github.com/google/go-cmp/cmp"
)

// admits evaluates an attribute condition over a token's claims as Workload
// Identity Federation does: what cannot be evaluated admits nobody.
func admits(t *testing.T, condition string, claims map[string]any) bool {
	t.Helper()
	env, err := cel.NewEnv(cel.Variable("assertion", cel.MapType(cel.StringType, cel.DynType)))
	if err != nil {
		t.Fatal(err)
	}
	tree, issues := env.Compile(condition)
	if issues.Err() != nil {
		t.Fatal(issues.Err())
	}
	program, err := env.Program(tree)
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := program.Eval(map[string]any{"assertion": claims})
	return err == nil && out.Value() == true
}

// TestWhoIsTakenForCI tries tokens as GitHub issues them.
// https://docs.github.com/en/actions/reference/security/oidc
func TestWhoIsTakenForCI(t *testing.T) {
	token := func(change map[string]any) map[string]any {
		claims := map[string]any{
			"repository": "boost/ingestion", "repository_id": "712345678", "ref": "refs/heads/main",
			"event_name": "push", "environment": "prod", "sub": "repo:boost/ingestion:environment:prod",
		}
		for name, value := range change {
			if value == nil {
				delete(claims, name)
			} else {
				claims[name] = value
			}
		}
		return claims
	}
	request := map[string]any{"event_name": "pull_request", "ref": "refs/pull/7/merge", "environment": nil}
	type verdict struct{ plan, planOnRequests, deploy bool }
	for name, tt := range map[string]struct {
		change map[string]any
		want   verdict
	}{
		"a push to the branch, in the environment":  {nil, verdict{true, true, true}},
		"started by hand":                           {map[string]any{"event_name": "workflow_dispatch"}, verdict{true, true, true}},
		"without the environment":                   {map[string]any{"environment": nil}, verdict{true, true, false}},
		"another environment":                       {map[string]any{"environment": "dev"}, verdict{true, true, false}},
		"every night":                               {map[string]any{"event_name": "schedule", "environment": nil}, verdict{true, true, false}},
		"a pull request":                            {request, verdict{false, true, false}},
		"a pull request that names the environment": {map[string]any{"event_name": "pull_request", "ref": "refs/pull/7/merge"}, verdict{false, true, false}},
		"pull_request_target runs on the branch":    {map[string]any{"event_name": "pull_request_target"}, verdict{false, false, false}},
		"another branch":                            {map[string]any{"ref": "refs/heads/main2"}, verdict{false, false, false}},
		"a tag of the branch's name":                {map[string]any{"ref": "refs/tags/main"}, verdict{false, false, false}},
		"another repository":                        {map[string]any{"repository": "mallory/ingestion", "repository_id": "1"}, verdict{false, false, false}},
		"a repository that took over the name":      {map[string]any{"repository_id": "1"}, verdict{false, false, false}},
		"a repository whose name goes on":           {map[string]any{"repository": "boost/ingestion2"}, verdict{false, false, false}},
		"no claims":                                 {map[string]any{"repository": nil, "repository_id": nil}, verdict{false, false, false}},
	} {
		var got verdict
		for _, requests := range []bool{false, true} {
			s := everything(t)
			s.edit(t, "ingestion:deployer", func(m map[string]any) { m["pullRequests"] = requests })
			for _, r := range mustRun(t, s).only("gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider") {
				in := admits(t, field(r, "attributeCondition").(string), token(tt.change))
				switch {
				case r.Name == "deploy":
					got.deploy = in
				case requests:
					got.planOnRequests = in
				default:
					got.plan = in
				}
			}
		}
		if got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

// TestCIAccountsTrustOneProviderEach: the deployer's account asks for the
// attribute that only the deployer's provider maps.
func TestCIAccountsTrustOneProviderEach(t *testing.T) {
	o := mustRun(t, everything(t))
	mapped := map[string][]string{} // attribute to providers
	for _, r := range o.only("gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider") {
		for target := range plain(r.Inputs["attributeMapping"]).(map[string]any) {
			if name, ok := strings.CutPrefix(target, "attribute."); ok {
				mapped[name] = append(mapped[name], r.Name)
			}
		}
	}
	if diff := cmp.Diff(map[string][]string{"plan": {"plan"}, "deploy": {"deploy"}}, mapped); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	got := map[string]string{}
	for _, r := range o.only("gcp:serviceaccount/iAMMember:IAMMember") {
		if field(r, "role") == "roles/iam.workloadIdentityUser" {
			got[r.Name] = field(r, "member").(string)
		}
	}
	const pool = "principalSet://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/ingestion-github/"
	if diff := cmp.Diff(map[string]string{
		"github-acts-as-ci-planner":  pool + "attribute.plan/boost/ingestion",
		"github-acts-as-ci-deployer": pool + "attribute.deploy/boost/ingestion",
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestCIHoldsNoMoreThanItNeeds: no basic role, nothing that deletes data or
// that could widen what it holds, and a condition on what it may grant.
func TestCIHoldsNoMoreThanItNeeds(t *testing.T) {
	o := mustRun(t, everything(t))
	refused := []string{
		"roles/owner", "roles/editor", "roles/viewer", "roles/spanner.admin", "roles/secretmanager.admin", "roles/spanner.databaseAdmin", "roles/storage.admin",
		"roles/iam.serviceAccountAdmin", "roles/iam.serviceAccountUser", "roles/iam.serviceAccountTokenCreator", "roles/iam.roleAdmin",
		"roles/iam.workloadIdentityPoolAdmin", "roles/cloudkms.cryptoKeyEncrypterDecrypter",
	}
	for _, r := range o.only("gcp:projects/iAMMember:IAMMember") {
		member, role := field(r, "member").(string), field(r, "role").(string)
		if !strings.HasPrefix(member, "serviceAccount:ci-") {
			continue
		}
		if slices.Contains(refused, role) {
			t.Errorf("%s holds %s on the project", member, role)
		}
		if role == "roles/resourcemanager.projectIamAdmin" && field(r, "condition.expression") !=
			`api.getAttribute('iam.googleapis.com/modifiedGrantsByRole', []).hasOnly(['roles/aiplatform.user', 'roles/documentai.apiUser', 'roles/secretmanager.secretAccessor', 'roles/speech.client'])` {
			t.Errorf("%s may grant by %v", member, field(r, "condition.expression"))
		}
		if strings.HasPrefix(member, "serviceAccount:ci-planner") && strings.HasSuffix(strings.ToLower(role), "admin") {
			t.Errorf("the planner holds %s", role)
		}
	}
	for _, r := range o.only("gcp:projects/iAMCustomRole:IAMCustomRole") {
		for _, permission := range plain(r.Inputs["permissions"]).([]any) {
			p := permission.(string)
			if strings.HasSuffix(p, ".drop") || strings.HasSuffix(p, ".delete") || strings.HasPrefix(p, "storage.objects.") || p == "spanner.databases.select" || p == "spanner.databases.read" {
				t.Errorf("the role %s has %s", r.Name, p)
			}
		}
	}
}

// TestCIKnowsEveryModule: a module of the provider that nobody decided about
// fails a preview.
func TestCIKnowsEveryModule(t *testing.T) {
	if _, _, err := ciRoles([]string{"storage", "newservice"}); err == nil || !strings.Contains(err.Error(), "gcp:newservice") {
		t.Errorf("error %v, want one that names the module", err)
	}
	plan, deploy, err := ciRoles([]string{"cloudrunv2", "cloudtasks"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]string{{"roles/cloudtasks.viewer", "roles/run.viewer"}, {"roles/cloudtasks.queueAdmin", "roles/run.admin"}}, [][]string{plan, deploy}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
