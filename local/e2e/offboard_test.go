//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloud.google.com/go/spanner"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// offboard takes the tenant of addTenant through the end of docs/tenants.md, on
// a stack that is protected as prod is.
func (p *platform) offboard(t *testing.T) {
	// By the engine, which has written the file in its own way by now.
	p.config(t, "rm", "ingestion:protect")
	p.config(t, "rm", "ingestion:audio")
	p.config(t, "rm", "ingestion:documents")
	p.deploy(t)
	before := p.count(t, "SELECT COUNT(*) FROM requests WHERE tenant_id = 'oak-stone'")
	if before == 0 {
		t.Fatal("the tenant has no requests")
	}

	// Out of the config, as a bad merge would have it.
	config, err := os.ReadFile(filepath.Join(p.dir, "Pulumi.local.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p.config(t, "rm", "--path", "ingestion:tenants.oak-stone")
	if out, err := p.engine(t, "preview").CombinedOutput(); err == nil || !strings.Contains(string(out), "cannot be deleted") || !strings.Contains(string(out), "oak-stone") {
		t.Errorf("the preview let an active tenant go: %v\n%s", err, out)
	}
	// An update without a preview gets as far as tenant-sync.
	if out, err := p.command("up", "--no-proof").CombinedOutput(); err == nil || !strings.Contains(string(out), "state: offboarded") {
		t.Errorf("the update let an active tenant go: %v\n%s", err, out)
	}
	p.write(t, "Pulumi.local.yaml", string(config))
	var s story
	p.json(t, &s, "call", "--tenant", "oak-stone", "--json")
	if s.Status != "completed" {
		t.Errorf("after the refusals the tenant is not served: %+v", s)
	}
	// The manifest is named after its content, so another takes its place.
	if changed := p.deploy(t); slices.ContainsFunc(changed, func(c change) bool { return c.Op != "update" && !strings.HasSuffix(c.Type, ":BucketObject") }) {
		t.Errorf("the config was put back; changed: %+v", changed)
	}

	p.config(t, "set", "--path", "ingestion:tenants.oak-stone.state", "offboarded")
	for _, c := range p.deploy(t) {
		if c.Op == "delete" {
			t.Errorf("offboarding deleted %s %s", c.Type, c.Name)
		}
	}
	if out, err := p.command("call", "--tenant", "oak-stone").CombinedOutput(); err == nil {
		t.Errorf("a call to an offboarded tenant was taken:\n%s", out)
	}
	p.state(t, "offboarded")

	p.config(t, "rm", "--path", "ingestion:tenants.oak-stone")
	deleted := 0
	for _, c := range p.deploy(t) {
		if c.Op == "delete" {
			deleted++
			if !strings.Contains(c.Name, "oak-stone") {
				t.Errorf("deleted: %+v", c)
			}
		}
	}
	if deleted == 0 {
		t.Error("the removed tenant's secrets are still there")
	}
	p.state(t, "inactive")
	if after := p.count(t, "SELECT COUNT(*) FROM requests WHERE tenant_id = 'oak-stone'"); after != before+1 {
		t.Errorf("%d requests of the removed tenant, want %d", after, before+1)
	}
	if changed := p.deploy(t); len(changed) != 0 {
		t.Errorf("the next update changes %+v", changed)
	}
}

// state checks the status of the tenant's row.
func (p *platform) state(t *testing.T, want string) {
	t.Helper()
	if n := p.count(t, fmt.Sprintf("SELECT COUNT(*) FROM tenants WHERE tenant_id = 'oak-stone' AND status = '%s'", want)); n != 1 {
		t.Errorf("the tenant is not %s", want)
	}
}

// edit replaces text in a file of the copy, which must have it.
func (p *platform) edit(t *testing.T, name, old, text string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), old) {
		t.Fatalf("%s does not have %q", name, old)
	}
	p.write(t, name, strings.Replace(string(raw), old, text, 1))
}

// config runs pulumi config on the local stack.
func (p *platform) config(t *testing.T, args ...string) {
	t.Helper()
	args = append([]string{"config", "--stack", "local"}, args...)
	cmd := exec.CommandContext(t.Context(), filepath.Join(p.dir, ".local/bin/pulumi"), args...)
	cmd.Dir, cmd.Env = p.dir, p.env(t)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("pulumi %v: %v\n%s", args, err, out)
	}
}

// engine is .local/bin/deploy with the environment of the local cloud.
func (p *platform) engine(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(p.dir, ".local/bin/deploy"), args...)
	cmd.Dir, cmd.Env = p.dir, p.env(t)
	return cmd
}

// database opens the local stack's database.
func (p *platform) database(t *testing.T) *spanner.Client {
	t.Helper()
	var vars map[string]string
	p.json(t, &vars, "env", "--json")
	client, err := spanner.NewClientWithConfig(t.Context(), "projects/ingestion-local/instances/ingestion-local/databases/agent_platform",
		spanner.ClientConfig{DisableNativeMetrics: true}, emulator(vars["SPANNER_EMULATOR_HOST"])...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func emulator(addr string) []option.ClientOption {
	return []option.ClientOption{
		option.WithEndpoint(addr), option.WithoutAuthentication(), option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())),
	}
}

// count reads one number.
func (p *platform) count(t *testing.T, query string) int64 {
	t.Helper()
	var n int64
	if err := p.database(t).Single().Query(t.Context(), spanner.NewStatement(query)).Do(func(row *spanner.Row) error { return row.Columns(&n) }); err != nil {
		t.Fatal(err)
	}
	return n
}
