package plan

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func object(pairs ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	return m
}

func labels(component string) map[string]any { return object("component", component) }

// sample is a small platform with one of everything that is drawn, and a family
// that this package knows nothing of.
func sample() Stack {
	const project = "@p.iam.gserviceaccount.com"
	member := func(id string) string { return "serviceAccount:" + id + project }
	return Stack{
		Name: "test", Project: "p", Region: "r", Placeholders: []string{"ingestion:key"},
		Resources: []Resource{
			{Type: "gcp:apigateway/apiConfig:ApiConfig", Name: "gateway", Inputs: object("labels", labels("gateway"),
				"gatewayConfig", object("backendConfig", object("googleServiceAccount", "front"+project)))},
			{Type: "gcp:apigateway/gateway:Gateway", Name: "gateway", Inputs: object("gatewayId", "gw", "labels", labels("gateway"))},
			{Type: "gcp:billing/budget:Budget", Name: "budget-8700", Inputs: object("amount", object("specifiedAmount", object("units", "8700")))},
			{Type: "gcp:billing/budget:Budget", Name: "budget-4300", Inputs: object("amount", object("specifiedAmount", object("units", "4300")))},
			{Type: "gcp:cloudrunv2/service:Service", Name: "ai-analyzer", Inputs: object("name", "ai-analyzer", "labels", labels("ai-analyzer"))},
			{Type: "gcp:cloudrunv2/service:Service", Name: "sweeper", Inputs: object("name", "sweeper", "labels", labels("sweeper"),
				"template", object("vpcAccess", object("egress", "PRIVATE_RANGES_ONLY")))},
			{Type: "gcp:cloudrunv2/job:Job", Name: "sync", Inputs: object("name", "sync", "labels", labels("sync"),
				"template", object("template", object("vpcAccess", object("egress", "ALL_TRAFFIC"))))},
			{Type: "gcp:compute/regionNetworkEndpointGroup:RegionNetworkEndpointGroup", Name: "edge",
				Inputs: object("name", "edge", "serverlessDeployment", object("resource", "gw"))},
			{Type: "gcp:compute/routerNat:RouterNat", Name: "network", Inputs: object("name", "network")},
			{Type: "gcp:cloudrunv2/serviceIamMember:ServiceIamMember", Name: "front-invokes-ai-analyzer",
				Inputs: object("name", "projects/p/locations/r/services/ai-analyzer", "role", "roles/run.invoker", "member", member("front"))},
			{Type: "gcp:cloudscheduler/job:Job", Name: "sweeper", Inputs: object("schedule", "* * * * *")},
			{Type: "gcp:cloudscheduler/job:Job", Name: "backup", Inputs: object("schedule", "0 3 * * *",
				"httpTarget", object("uri", "https://spanner.googleapis.com/v1/x:backup"))},
			{Type: "gcp:cloudtasks/queue:Queue", Name: "ai-analysis", Inputs: object("name", "ai-analysis")},
			{Type: "gcp:cloudtasks/queueIamMember:QueueIamMember", Name: "sweeper-enqueues-ai-analysis",
				Inputs: object("name", "ai-analysis", "location", "r", "role", "roles/cloudtasks.enqueuer", "member", member("sweeper"))},
			{Type: "gcp:new/thing:Thing", Name: "thing", Inputs: object()},
			{Type: "gcp:new/part:Part", Name: "part", Parent: "ingestion:new:Family family", Inputs: object()},
			{Type: "gcp:projects/iAMMember:IAMMember", Name: "ai-analyzer-aiplatform-user",
				Inputs: object("role", "roles/aiplatform.user", "member", member("ai-analyzer"))},
			{Type: "gcp:projects/iAMMember:IAMMember", Name: "ai-analyzer-keys", Inputs: object("role", "roles/secretmanager.secretAccessor",
				"member", member("ai-analyzer"), "condition", object("expression", `resource.name.extract("/secrets/{id}").startsWith("key-")`))},
			{Type: "gcp:projects/iAMMember:IAMMember", Name: "agent",
				Inputs: object("role", "roles/x.y", "member", "serviceAccount:ai-analyzer@gcp-sa-x.iam.gserviceaccount.com")},
			{Type: "gcp:secretmanager/secret:Secret", Name: "key-acme", Parent: "ingestion:tenant:Tenant acme", Protect: true,
				Inputs: object("secretId", "key-acme", "labels", labels("tenant"))},
			{Type: "gcp:secretmanager/secretVersion:SecretVersion", Name: "key-acme", Parent: "ingestion:tenant:Tenant acme", Inputs: object()},
			{Type: "gcp:serviceaccount/account:Account", Name: "ai-analyzer", Inputs: object()},
			{Type: "gcp:spanner/database:Database", Name: "database", Protect: true, Inputs: object("name", "db", "instance", "i")},
			{Type: "gcp:spanner/databaseIAMMember:DatabaseIAMMember", Name: "ai-analyzer-database-user",
				Inputs: object("database", "db", "instance", "i", "role", "roles/spanner.databaseUser", "member", member("ai-analyzer"))},
			{Type: "gcp:storage/bucket:Bucket", Name: "audio", Inputs: object("name", "p-audio", "labels", labels("audio"))},
			{Type: "gcp:storage/bucketIAMMember:BucketIAMMember", Name: "ai-analyzer-audio",
				Inputs: object("bucket", "p-audio", "role", "roles/storage.objectViewer", "member", member("ai-analyzer"))},
			{Type: "ingestion:new:Family", Name: "family", Inputs: object()},
			{Type: "ingestion:tenant:Tenant", Name: "acme", Inputs: object()},
		},
	}
}

func TestSummarize(t *testing.T) {
	t.Parallel()
	s := Summarize(sample())
	if s.Total != 28 || s.Protected != 2 {
		t.Errorf("%d resources, %d protected; want 28 and 2", s.Total, s.Protected)
	}
	if d := cmp.Diff(map[string]int{"acme": 3}, s.Tenants); d != "" {
		t.Errorf("tenants (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"4300", "8700"}, s.Budgets); d != "" {
		t.Errorf("budgets (-want +got):\n%s", d)
	}
	if got := s.Types["cloudrunv2.Service"]; got != 2 {
		t.Errorf("%d services", got)
	}
	got := map[string][]string{}
	var order []string
	for _, c := range s.Components {
		order = append(order, c.Name)
		for _, r := range c.Resources {
			got[c.Name] = append(got[c.Name], r.Name)
		}
	}
	if d := cmp.Diff(map[string][]string{
		"ai-analyzer": {"ai-analyzer", "front-invokes-ai-analyzer", "ai-analyzer-aiplatform-user", "ai-analyzer-keys", "ai-analyzer",
			"ai-analyzer-database-user", "ai-analyzer-audio"},
		"audio":          {"audio"},
		"billing":        {"budget-4300", "budget-8700"},
		"cloudscheduler": {"backup"},
		"cloudtasks":     {"ai-analysis"},
		"compute":        {"edge", "network"},
		"family":         {"family", "part"},
		"gateway":        {"gateway", "gateway"},
		"new":            {"thing"},
		"projects":       {"agent"},
		"spanner":        {"database"},
		"sweeper":        {"sweeper", "sweeper", "sweeper-enqueues-ai-analysis"},
		"sync":           {"sync"},
		"tenant acme":    {"acme", "key-acme", "key-acme"},
	}, got); d != "" {
		t.Errorf("components (-want +got):\n%s", d)
	}
	if last := order[len(order)-1]; last != "tenant acme" {
		t.Errorf("the last component is %s; tenants come last", last)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	if err := Text(&text, Summarize(sample())); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{"sample.md": Markdown(sample()), "sample.txt": text.String()} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("%v (go test -update writes it)", err)
		}
		if d := cmp.Diff(string(want), got); d != "" {
			t.Errorf("%s (-want +got):\n%s", path, d)
		}
	}
}

// TestDiagramIsWhole checks that both ends of every arrow are drawn.
func TestDiagramIsWhole(t *testing.T) {
	t.Parallel()
	drawn := map[string]bool{}
	arrows := 0
	for line := range strings.Lines(Diagram(sample())) {
		from, to, arrow := strings.Cut(strings.TrimSpace(line), " -->")
		if !arrow {
			id, _, _ := strings.Cut(from, `"`)
			drawn[strings.TrimRight(id, `[({/>`)] = true
			continue
		}
		arrows++
		to = to[strings.LastIndexByte(to, ' ')+1:]
		if !drawn[from] || !drawn[to] {
			t.Errorf("an end of %q is not drawn", line)
		}
	}
	if arrows != 11 {
		t.Errorf("%d arrows, want 11:\n%s", arrows, Diagram(sample()))
	}
}

func TestShortType(t *testing.T) {
	t.Parallel()
	for typ, want := range map[string]string{
		"gcp:cloudrunv2/service:Service": "cloudrunv2.Service",
		"pulumi:pulumi:Stack":            "pulumi:pulumi.Stack",
		"random:x":                       "random:x",
		"odd":                            "odd",
	} {
		if got := ShortType(typ); got != want {
			t.Errorf("%s is %s, want %s", typ, got, want)
		}
	}
}
