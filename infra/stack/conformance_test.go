package stack

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"ingestion.internal/infra/typefacts"
)

// deprecatedOnPurpose are the deprecated properties in use, each with its
// reason: "type path" to why.
var deprecatedOnPurpose = map[string]string{}

// TestResourcesConform holds every resource against what the provider's schema
// says of its type: no unknown property, no missing one, the right types.
func TestResourcesConform(t *testing.T) {
	facts, err := typefacts.Load()
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for name, s := range variants(t) {
		for _, r := range mustRun(t, s).resources {
			if !isCloud(r.Type) {
				continue
			}
			used[r.Type] = true
			wrong, deprecated := facts.Check(r.Type, plain(resource.NewObjectProperty(r.Inputs)).(map[string]any))
			for _, w := range wrong {
				t.Errorf("%s: %s: %s", name, r.key(), w)
			}
			for _, path := range deprecated {
				if deprecatedOnPurpose[r.Type+" "+path] == "" {
					t.Errorf("%s: %s: %s is deprecated; if it has to be, say why in deprecatedOnPurpose", name, r.key(), path)
				}
			}
			for property := range r.Inputs {
				if facts.Resources[r.Type][string(property)].Secret && !r.Inputs[property].ContainsSecrets() {
					t.Errorf("%s: %s: %s is not marked as secret", name, r.key(), property)
				}
			}
		}
	}
	if len(used) < 20 {
		t.Errorf("only %d types in use", len(used))
	}
}

// isCloud tells a resource of the provider from a component.
func isCloud(typ string) bool { return len(typ) > 4 && typ[:4] == "gcp:" }
