package stack

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// TestNothingComesIn: no rule of any stack lets a connection into the network,
// and what goes out is https.
func TestNothingComesIn(t *testing.T) {
	for name, s := range map[string]*settings{"prod": deployable(t, "prod"), "edge": edged(t)} {
		closed := map[any]bool{}
		for _, r := range mustRun(t, s).only("gcp:compute/firewall:Firewall") {
			direction := field(r, "direction")
			if r.Inputs.HasValue("allows") {
				if direction != "EGRESS" {
					t.Errorf("%s: %s lets in", name, r.Name)
				}
				want := []any{map[string]any{"protocol": "tcp", "ports": []any{"443"}}}
				if diff := cmp.Diff(want, plain(r.Inputs["allows"])); diff != "" {
					t.Errorf("%s: %s (-want +got):\n%s", name, r.Name, diff)
				}
			}
			if r.Inputs.HasValue("denies") {
				closed[direction] = field(r, "denies.protocol") == "all" && field(r, "priority") == 65534.0
			}
		}
		if diff := cmp.Diff(map[any]bool{"INGRESS": true, "EGRESS": true}, closed); diff != "" {
			t.Errorf("%s: closed (-want +got):\n%s", name, diff)
		}
	}
}

// egresses are the ways of workloads into the network, by name; "" is none.
func egresses(o outcome) map[string]string {
	all := map[string]string{}
	for _, r := range o.resources {
		switch r.Type {
		case "gcp:cloudrunv2/service:Service":
			all[r.Name], _ = field(r, "template.vpcAccess.egress").(string)
		case "gcp:cloudrunv2/job:Job":
			all[r.Name], _ = field(r, "template.template.vpcAccess.egress").(string)
		}
	}
	return all
}

// TestEveryWorkloadIsOnTheNetwork, if there is one, and goes through it for
// what its callers and partners need.
func TestEveryWorkloadIsOnTheNetwork(t *testing.T) {
	for name, tt := range map[string]struct {
		settings *settings
		want     func(*workload) string
	}{
		"dev":  {deployable(t, "dev"), func(*workload) string { return "" }},
		"edge": {edged(t), func(*workload) string { return egressAll }},
		"prod": {deployable(t, "prod"), func(w *workload) string {
			if w.googleOnly {
				return egressPrivate
			}
			return egressAll
		}},
	} {
		o := mustRun(t, tt.settings)
		want := map[string]string{}
		for i := range catalog {
			want[catalog[i].name] = tt.want(&catalog[i])
		}
		if diff := cmp.Diff(want, egresses(o)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestPublicServicesStartFast: what a caller waits for takes no slow way.
func TestPublicServicesStartFast(t *testing.T) {
	public := 0
	for _, w := range catalog {
		if w.public || w.direct {
			public++
			if !w.googleOnly {
				t.Errorf("%s is public and would start through the network", w.name)
			}
		}
	}
	if public == 0 {
		t.Error("nothing is public")
	}
}

// TestStartupHasTimeToConnect: within what Cloud Run allows.
func TestStartupHasTimeToConnect(t *testing.T) {
	for _, r := range mustRun(t, deployable(t, "prod")).only("gcp:cloudrunv2/service:Service") {
		probe := "template.containers.startupProbe."
		seconds := field(r, probe+"periodSeconds").(float64) * field(r, probe+"failureThreshold").(float64)
		want := 60.0
		if !find(r.Name).googleOnly {
			want = 240
		}
		if seconds != want {
			t.Errorf("%s has %v seconds to start, want %v", r.Name, seconds, want)
		}
		for _, needed := range []string{"gcp:compute/routerNat:RouterNat network", "gcp:compute/firewall:Firewall allow-https-egress"} {
			if !slices.Contains(r.DependsOn, needed) {
				t.Errorf("%s does not wait for %s", r.Name, needed)
			}
		}
	}
}

// TestNATAddresses: they are exported, used, and those that exist stay when
// another is added.
func TestNATAddresses(t *testing.T) {
	s := deployable(t, "prod")
	before := mustRun(t, s)
	s.edit(t, "ingestion:network", func(n map[string]any) { n["natAddresses"] = 2 })
	after := mustRun(t, s)

	nat := one(t, after, "gcp:compute/routerNat:RouterNat", "network")
	const link = "https://www.googleapis.com/compute/v1/projects/account-strategy-464106/regions/us-central1/addresses/ingestion-nat-"
	if diff := cmp.Diff([]any{link + "0", link + "1"}, plain(nat.Inputs["natIps"])); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	was, is := byKey(before), byKey(after)
	const first = "gcp:compute/address:Address nat-0"
	if was[first] == "" || was[first] != is[first] {
		t.Errorf("%s changed", first)
	}
	if diff := cmp.Diff([]string{"203.0.113.0", "203.0.113.1"}, after.outputs["egressAddresses"]); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	if got := after.outputs["publicUrl"]; got != "https://ingestion-abc123.uc.gateway.dev" {
		t.Errorf("without an edge, callers come to %v", got)
	}
	if got := mustRun(t, edged(t)).outputs["publicUrl"]; got != "https://api.example.com" {
		t.Errorf("with an edge, callers come to %v", got)
	}
}

// TestPerimeter is a dry run until it is enforced, never both.
func TestPerimeter(t *testing.T) {
	const typ = "gcp:accesscontextmanager/servicePerimeter:ServicePerimeter"
	for enforce, want := range map[bool]string{false: "spec", true: "status"} {
		s := edged(t)
		s.edit(t, "ingestion:network", func(n map[string]any) { n["perimeter"].(map[string]any)["enforce"] = enforce })
		o := mustRun(t, s)
		r := one(t, o, typ, "perimeter")
		for _, part := range []string{"spec", "status"} {
			if got := r.Inputs.HasValue(resource.PropertyKey(part)); got != (part == want) {
				t.Errorf("enforce %t: it has a %s: %t", enforce, part, got)
			}
		}
		if dry := field(r, "useExplicitDryRunSpec") == true; dry == enforce {
			t.Errorf("enforce %t: dry run %t", enforce, dry)
		}
		got := plain(r.Inputs[resource.PropertyKey(want)]).(map[string]any)
		if diff := cmp.Diff([]any{"projects/123456789012"}, got["resources"]); diff != "" {
			t.Errorf("resources (-want +got):\n%s", diff)
		}
		if levels, _ := got["accessLevels"].([]any); len(levels) != 1 || levels[0] != "accessPolicies/987654321/accessLevels/ingestion_prod_operators" {
			t.Errorf("levels %v", levels)
		}
		if !slices.ContainsFunc(r.DependsOn, func(d string) bool { return strings.HasPrefix(d, "gcp:cloudrunv2/service:Service ") }) {
			t.Error("the perimeter does not wait for what is in it")
		}
	}
}
