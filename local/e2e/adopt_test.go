//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloud.google.com/go/spanner"
	database "cloud.google.com/go/spanner/admin/database/apiv1"
	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"
	instance "cloud.google.com/go/spanner/admin/instance/apiv1"
	"cloud.google.com/go/spanner/admin/instance/apiv1/instancepb"
)

// TestAdoption is the rehearsal of docs/adopt.md: an instance and a database
// that somebody made by hand, with rows, are imported; the preview replaces
// nothing; one up deploys the whole platform on them; the rows are there; the
// next up changes nothing.
func TestAdoption(t *testing.T) {
	p := newPlatform(t)
	t.Cleanup(func() {
		if out, err := p.command("down").CombinedOutput(); err != nil {
			t.Errorf("down: %v\n%s", err, out)
		}
	})
	var started struct{ OK bool }
	p.json(t, &started, "up", "--no-deploy", "--json")
	p.makeByHand(t)

	out, err := p.adopt(t).CombinedOutput()
	if err != nil {
		t.Fatalf("adopt: %v\n%s", err, out)
	}
	for _, want := range []string{
		"import    gcp:spanner/instance:Instance spanner", "import    gcp:spanner/database:Database database",
		"update    gcp:spanner/database:Database database", "nothing to replace or delete",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("adopt does not say %q:\n%s", want, out)
		}
	}
	// It can be repeated.
	if out, err := p.adopt(t).CombinedOutput(); err != nil || !strings.Contains(string(out), "known     gcp:spanner/database:Database database") {
		t.Errorf("adopt again: %v\n%s", err, out)
	}

	var up upResult
	p.json(t, &up, "up", "--json")
	if up.Proof == nil || up.Proof.Status != "completed" {
		t.Errorf("proof call on the adopted database: %+v", up.Proof)
	}
	for _, c := range up.Deployment.Changed {
		if strings.HasPrefix(c.Type, "pulumi:providers:") {
			continue // the engine's own note of the provider that the import used
		}
		if strings.Contains(c.Type, "spanner/database:Database") && c.Op != "update" || c.Op != "create" && c.Op != "update" {
			t.Errorf("the first up did %+v", c)
		}
	}
	for query, want := range map[string]int64{
		"SELECT COUNT(*) FROM requests WHERE tenant_id = 'old-customer' AND source = 'phone'":                           2,
		"SELECT COUNT(*) FROM offices WHERE tenant_id = 'old-customer' AND city = 'Rochester' AND status = 'active'":    1,
		"SELECT COUNT(*) FROM tenants WHERE tenant_id = 'old-customer' AND name = 'Made By Hand' AND status = 'active'": 1, // and not judged by tenant-sync
	} {
		if got := p.count(t, query); got != want {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}
	if changed := p.deploy(t); len(changed) != 0 {
		t.Errorf("the second up changes %+v", changed)
	}

	// A database of another name than the one that exists is noticed, as is
	// anything that would end the adopted one.
	p.edit(t, "Pulumi.local.yaml", "    database: agent_platform\n", "    database: agent_platform2\n")
	if out, err := p.adopt(t).CombinedOutput(); err == nil || !strings.Contains(string(out), "would end what exists") {
		t.Errorf("a replacement was not refused: %v\n%s", err, out)
	}
}

// adopt is .local/bin/deploy adopt, with a language plugin on PATH for pulumi
// import to ask.
func (p *platform) adopt(t *testing.T) *exec.Cmd {
	t.Helper()
	bin := filepath.Join(p.dir, ".local/bin/plugins")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(bin, "pulumi-language-go"), "./e2e/languagehost")
	build.Dir = filepath.Join(p.dir, "local")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := p.engine(t, "adopt")
	cmd.Env = append(cmd.Env, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	return cmd
}

// makeByHand makes what the local stack will find.
func (p *platform) makeByHand(t *testing.T) {
	t.Helper()
	var vars map[string]string
	p.json(t, &vars, "env", "--json")
	options := emulator(vars["SPANNER_EMULATOR_HOST"])
	instances, err := instance.NewInstanceAdminClient(t.Context(), options...)
	if err != nil {
		t.Fatal(err)
	}
	defer instances.Close()
	const project, name = "projects/ingestion-local", "projects/ingestion-local/instances/ingestion-local"
	made, err := instances.CreateInstance(t.Context(), &instancepb.CreateInstanceRequest{
		Parent: project, InstanceId: "ingestion-local",
		Instance: &instancepb.Instance{Name: name, Config: project + "/instanceConfigs/emulator-config", DisplayName: "made by hand", ProcessingUnits: 100},
	})
	if err == nil {
		_, err = made.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	databases, err := database.NewDatabaseAdminClient(t.Context(), options...)
	if err != nil {
		t.Fatal(err)
	}
	defer databases.Close()
	op, err := databases.CreateDatabase(t.Context(), &databasepb.CreateDatabaseRequest{
		Parent: name, CreateStatement: "CREATE DATABASE `agent_platform`",
		ExtraStatements: []string{
			`CREATE TABLE tenants (tenant_id STRING(36) NOT NULL, name STRING(100), created_at TIMESTAMP) PRIMARY KEY (tenant_id)`,
			`CREATE TABLE offices (tenant_id STRING(36) NOT NULL, office_id STRING(36) NOT NULL, city STRING(50))
				PRIMARY KEY (tenant_id, office_id), INTERLEAVE IN PARENT tenants ON DELETE CASCADE`,
			`CREATE TABLE requests (tenant_id STRING(36) NOT NULL, request_id STRING(36) NOT NULL, source STRING(50), recording_url STRING(500))
				PRIMARY KEY (tenant_id, request_id)`,
		},
	})
	if err == nil {
		_, err = op.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	rows := []*spanner.Mutation{
		spanner.Insert("tenants", []string{"tenant_id", "name"}, []any{"old-customer", "Made By Hand"}),
		spanner.Insert("offices", []string{"tenant_id", "office_id", "city"}, []any{"old-customer", "o1", "Rochester"}),
	}
	for id := range slices.Values([]string{"r1", "r2"}) {
		rows = append(rows, spanner.Insert("requests", []string{"tenant_id", "request_id", "source"}, []any{"old-customer", id, "phone"}))
	}
	if _, err := p.database(t).Apply(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
}
