package stack

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/ddl"
	"ingestion.internal/shared/topology"
)

// TestEveryWorkloadHasItsDatabaseRole: the schema makes the role, the service
// is told to take it on, and its account may take on that one only.
func TestEveryWorkloadHasItsDatabaseRole(t *testing.T) {
	o := mustRun(t, deployable(t, "prod"))
	grants := map[string][]string{} // by member
	for _, r := range o.only("gcp:spanner/databaseIAMMember:DatabaseIAMMember") {
		account, _, _ := strings.Cut(strings.TrimPrefix(field(r, "member").(string), "serviceAccount:"), "@")
		expression, _ := field(r, "condition.expression").(string)
		grants[account] = append(grants[account], field(r, "role").(string)+" "+expression)
	}
	statements := ddl.Statements()
	for _, w := range catalog {
		role := topology.DatabaseRole(w.name)
		if made := slices.Contains(statements, "CREATE ROLE "+role); made == w.noTables {
			t.Errorf("%s: ddl makes its role: %t; that should be so unless it touches no table (%t)", w.name, made, w.noTables)
		}
		var want []string
		if !w.noTables {
			want = []string{
				`roles/spanner.databaseRoleUser resource.type == "spanner.googleapis.com/DatabaseRole" && resource.name.endsWith("/databaseRoles/` + role + `")`,
				"roles/spanner.fineGrainedAccessUser ",
			}
		}
		if diff := cmp.Diff(want, grants[w.name]); diff != "" {
			t.Errorf("grants of %s (-want +got):\n%s", w.name, diff)
		}
	}
	for _, r := range o.resources {
		if envs := envsOf(r); envs != nil && envs[topology.EnvDatabaseRole] != databaseRoleOf(r.Name) {
			t.Errorf("%s takes on the role %v", r.Name, envs[topology.EnvDatabaseRole])
		}
	}
}

// databaseRoleOf is what a workload's environment should say: nil if nothing.
func databaseRoleOf(name string) any {
	if find(name).noTables {
		return nil
	}
	return topology.DatabaseRole(name)
}

// envsOf returns the environment of a service or job, nil of anything else.
func envsOf(r registered) map[string]any {
	path := map[string]string{
		"gcp:cloudrunv2/service:Service": "template.containers.envs",
		"gcp:cloudrunv2/job:Job":         "template.template.containers.envs",
	}[r.Type]
	if path == "" {
		return nil
	}
	envs := map[string]any{}
	for _, e := range field(r, path).([]any) {
		envs[e.(map[string]any)["name"].(string)] = e.(map[string]any)["value"]
	}
	return envs
}

// TestWithoutDatabaseRoles is the way back, should a grant be missing that only
// Spanner itself can miss.
func TestWithoutDatabaseRoles(t *testing.T) {
	s := deployable(t, "prod")
	s.edit(t, "ingestion:spanner", func(m map[string]any) { m["databaseRoles"] = false })
	o := mustRun(t, s)
	for _, r := range o.only("gcp:spanner/databaseIAMMember:DatabaseIAMMember") {
		if field(r, "role") != "roles/spanner.databaseUser" || field(r, "condition.expression") != nil {
			t.Errorf("%s grants %v", r.Name, field(r, "role"))
		}
	}
	for _, r := range o.resources {
		if role, ok := envsOf(r)[topology.EnvDatabaseRole]; ok {
			t.Errorf("%s takes on the role %v", r.Name, role)
		}
	}
}
