package stack

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRollout: a service keeps its traffic where the config says, and gives it
// all to the newest revision where it says nothing.
func TestRollout(t *testing.T) {
	s := deployable(t, "prod")
	s.set("ingestion:rollout", map[string]any{"serving": map[string]any{"intake-api": "intake-api-00007-abc"}})
	const latest = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
	for _, r := range mustRun(t, s).only("gcp:cloudrunv2/service:Service") {
		want := []any{map[string]any{"type": latest, "percent": 100.0}}
		if r.Name == "intake-api" {
			want = []any{
				map[string]any{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": "intake-api-00007-abc", "percent": 100.0},
				map[string]any{"type": latest, "percent": 0.0, "tag": "candidate"},
			}
		}
		if diff := cmp.Diff(want, plain(r.Inputs["traffics"])); diff != "" {
			t.Errorf("%s (-want +got):\n%s", r.Name, diff)
		}
	}
}

// TestDocumentAIIsPinned: the processor's default version is that of the config.
func TestDocumentAIIsPinned(t *testing.T) {
	versions := mustRun(t, everything(t)).only("gcp:essentialcontacts/documentAiProcessorDefaultVersion:DocumentAiProcessorDefaultVersion")
	if len(versions) != 1 {
		t.Fatalf("%d versions, want 1", len(versions))
	}
	processor := field(versions[0], "processor").(string)
	if got, want := field(versions[0], "version"), processor+"/processorVersions/pretrained-form-parser-v2.0-2022-11-10"; got != want {
		t.Errorf("version %v, want %s", got, want)
	}
}
