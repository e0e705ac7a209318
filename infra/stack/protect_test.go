package stack

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// holdsData are the types whose loss is a loss of data, with the inputs by
// which the provider, too, keeps them. It names types that the program does
// not use yet, so that a new family meets the rule on its first day. Every
// other type can be made again from this repository and the stack's config.
var holdsData = map[string]map[string]any{
	"gcp:alloydb/cluster:Cluster":                         {"deletionPolicy": "DEFAULT"},
	"gcp:bigquery/dataset:Dataset":                        {"deleteContentsOnDestroy": false},
	"gcp:bigquery/table:Table":                            {"deletionProtection": true},
	"gcp:bigtable/instance:Instance":                      {"deletionProtection": true},
	"gcp:filestore/instance:Instance":                     {},
	"gcp:firestore/database:Database":                     {"deletionPolicy": "ABANDON"},
	"gcp:logging/projectBucketConfig:ProjectBucketConfig": {},
	"gcp:kms/cryptoKey:CryptoKey":                         {}, // what it encrypted is lost with it
	"gcp:kms/keyRing:KeyRing":                             {},
	"gcp:secretmanager/secret:Secret":                     {},
	"gcp:spanner/database:Database":                       {"enableDropProtection": true, "deletionProtection": true},
	"gcp:spanner/instance:Instance":                       {"forceDestroy": false},
	"gcp:sql/databaseInstance:DatabaseInstance":           {"deletionProtection": true},
	"gcp:storage/bucket:Bucket":                           {"forceDestroy": false},
}

// holdsNone are the resources of those types without data of their own.
var holdsNone = []string{
	"gcp:storage/bucket:Bucket config", // the tenant manifest, made from the stack's config
}

// unprotected lists what is wrong with the resources that hold data.
func unprotected(o outcome) []string {
	var wrong []string
	for _, r := range o.resources {
		locks, ok := holdsData[r.Type]
		if !ok || slices.Contains(holdsNone, r.key()) {
			continue
		}
		if !r.Protect {
			wrong = append(wrong, r.key()+": not protected by Pulumi")
		}
		for name, want := range locks {
			if got := field(r, name); got != want {
				wrong = append(wrong, r.key()+": "+name+" is not set")
			}
		}
	}
	slices.Sort(wrong)
	return wrong
}

// protectedStack is a stack's config with the option, an instance of its own
// and two tenants.
func protectedStack(t *testing.T, protect bool) *settings {
	s := deployable(t, "local")
	s.set("ingestion:protect", protect)
	for _, bucket := range []string{"ingestion:audio", "ingestion:documents"} {
		s.edit(t, bucket, func(b map[string]any) { b["forceDestroy"] = !protect })
	}
	return s
}

func TestWhatHoldsDataIsProtected(t *testing.T) {
	for name, s := range map[string]*settings{"prod": deployable(t, "prod"), "prod with every option": everything(t), "its own instance, tenants": protectedStack(t, true)} {
		for _, wrong := range unprotected(mustRun(t, s)) {
			t.Errorf("%s: %s", name, wrong)
		}
	}
	// The walk finds what it is for.
	var types []string
	for _, wrong := range unprotected(mustRun(t, protectedStack(t, false))) {
		typ, _, _ := strings.Cut(wrong, " ")
		types = append(types, typ)
	}
	if diff := cmp.Diff([]string{
		"gcp:logging/projectBucketConfig:ProjectBucketConfig", "gcp:secretmanager/secret:Secret", "gcp:spanner/database:Database", "gcp:spanner/instance:Instance", "gcp:storage/bucket:Bucket",
	}, slices.Compact(types)); diff != "" {
		t.Errorf("unprotected types of a disposable stack (-want +got):\n%s", diff)
	}
}

// TestTenantsAreProtectedUntilOffboarded: the engine refuses to delete an
// active tenant's secrets, and lets go of an offboarded one's. Versions are
// never protected, since a new value replaces them.
func TestTenantsAreProtectedUntilOffboarded(t *testing.T) {
	s := protectedStack(t, true)
	s.edit(t, "ingestion:tenants", func(tenants map[string]any) {
		tenants["summit-remodeling"].(map[string]any)["state"] = "offboarded"
	})
	for _, r := range mustRun(t, s).resources {
		want, checked := false, true
		switch {
		case r.Type == "gcp:secretmanager/secretVersion:SecretVersion":
			if r.DeletedWith != "gcp:secretmanager/secret:Secret "+r.Name {
				t.Errorf("%s is deleted with %q, want with its secret", r.key(), r.DeletedWith)
			}
		case r.key() == "ingestion:tenant:Tenant boost-marketing", r.Parent == "ingestion:tenant:Tenant boost-marketing":
			want = true
		case r.key() == "ingestion:tenant:Tenant summit-remodeling", r.Parent == "ingestion:tenant:Tenant summit-remodeling":
		default:
			checked = false
		}
		if checked && r.Protect != want {
			t.Errorf("%s: protected %t, want %t", r.key(), r.Protect, want)
		}
	}
}

func TestManifestSaysWhetherTenantsAreProtected(t *testing.T) {
	for _, protect := range []bool{true, false} {
		object := mustRun(t, protectedStack(t, protect)).only("gcp:storage/bucketObject:BucketObject")[0]
		want := map[bool]string{true: `"protect": true`, false: `"protect": false`}[protect]
		if content, _ := field(object, "content").(string); !strings.Contains(content, want) {
			t.Errorf("the manifest lacks %s: %s", want, content)
		}
	}
}
