package adopt

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// TestProviderVersion: the import uses the provider of the program.
func TestProviderVersion(t *testing.T) {
	t.Parallel()
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if want := "github.com/pulumi/pulumi-gcp/sdk/v7 v" + providerVersion + "\n"; !strings.Contains(string(mod), want) {
		t.Errorf("go.mod does not have %q", want)
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	const instance, database = "projects/p/instances/upai", "projects/p/instances/upai/databases/agent_platform"
	for name, tt := range map[string]struct {
		project, config string
		want            []Target
	}{
		"an instance of somebody else's": {"p", `{"instance":"upai","createInstance":false}`,
			[]Target{{"gcp:spanner/database:Database", "database", database}}},
		"its own instance": {"p", `{"instance":"upai","createInstance":true,"database":"agent_platform","processingUnits":100}`,
			[]Target{{"gcp:spanner/instance:Instance", "spanner", instance}, {"gcp:spanner/database:Database", "database", database}}},
		"no instance": {"p", `{}`, nil},
		"no project":  {"", `{"instance":"upai"}`, nil},
		"no object":   {"p", `x`, nil},
	} {
		got, err := targets(tt.project, tt.config)
		if diff := cmp.Diff(tt.want, got); diff != "" || (err == nil) != (tt.want != nil) {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestInState(t *testing.T) {
	t.Parallel()
	got, err := inState([]byte(`{"resources":[{"urn":"urn:pulumi:prod::ingestion::gcp:spanner/database:Database::database"},
		{"urn":"urn:pulumi:prod::ingestion::ingestion:tenant:Tenant$gcp:secretmanager/secret:Secret::key"}]}`))
	if diff := cmp.Diff(map[string]bool{"gcp:spanner/database:Database database": true, "gcp:secretmanager/secret:Secret key": true}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := inState([]byte(`{"resources":1}`)); err == nil {
		t.Error("a state that is none was read")
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	adopted := []Target{{"gcp:spanner/database:Database", "database", "id"}}
	for name, tt := range map[string]struct {
		steps []Step
		want  []string // what the error names; none: accepted
	}{
		"an update and creations": {[]Step{{apitype.OpUpdate, adopted[0].Type, "database"}, {apitype.OpCreate, "gcp:storage/bucket:Bucket", "audio"}}, nil},
		"nothing":                 {nil, nil},
		"a replacement": {[]Step{
			{apitype.OpDeleteReplaced, adopted[0].Type, "database"}, {apitype.OpReplace, adopted[0].Type, "database"}, {apitype.OpCreateReplacement, adopted[0].Type, "database"},
		}, []string{"delete-replaced", "\n  replace", "create-replacement"}},
		"a deletion of anything": {[]Step{{apitype.OpDelete, "gcp:storage/bucket:Bucket", "audio"}}, []string{"delete gcp:storage/bucket:Bucket audio"}},
		"the database made anew": {[]Step{{apitype.OpCreate, adopted[0].Type, "database"}}, []string{"create gcp:spanner/database:Database database"}},
	} {
		var out strings.Builder
		err := judge(tt.steps, adopted, &out)
		if (err != nil) != (tt.want != nil) {
			t.Errorf("%s: %v", name, err)
		}
		for _, part := range tt.want {
			if err != nil && !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v; want it to name %q", name, err, part)
			}
		}
		if good := strings.Contains(out.String(), "good "); good != (err == nil) {
			t.Errorf("%s: said %q", name, out.String())
		}
	}
}
