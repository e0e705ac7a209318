package stack

import (
	"slices"
	"strings"
	"testing"
)

// keyPaths say where each type names its key, and whose key it is.
var keyPaths = map[string]struct{ path, use string }{
	"gcp:artifactregistry/repository:Repository": {"kmsKeyName", registryKey},
	"gcp:cloudrunv2/job:Job":                     {"template.template.encryptionKey", runKey},
	"gcp:cloudrunv2/service:Service":             {"template.encryptionKey", runKey},
	"gcp:secretmanager/secret:Secret":            {"replication.userManaged.replicas.customerManagedEncryption.kmsKeyName", secretsKey},
	"gcp:spanner/database:Database":              {"encryptionConfig.kmsKeyName", spannerKey},
	"gcp:storage/bucket:Bucket":                  {"encryption.defaultKmsKeyName", storageKey},
}

// TestKeysComeFirst: whatever can be encrypted names the key of its use, and
// waits for the grant that lets its service use it; else the first update of a
// fresh project fails.
func TestKeysComeFirst(t *testing.T) {
	const ring = "projects/account-strategy-464106/locations/us-central1/keyRings/ingestion/cryptoKeys/"
	seen := map[string]bool{}
	for _, r := range mustRun(t, everything(t)).resources {
		want, ok := keyPaths[r.Type]
		if !ok {
			continue
		}
		seen[r.Type] = true
		if got := field(r, want.path); got != ring+want.use {
			t.Errorf("%s: %s is %v, want %s", r.key(), want.path, got, ring+want.use)
		}
		if !slices.Contains(r.DependsOn, "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember "+want.use) {
			t.Errorf("%s does not wait for the grant of its key", r.key())
		}
	}
	for typ := range keyPaths {
		if !seen[typ] {
			t.Errorf("no %s was registered", typ)
		}
	}
}

// TestKeysAreProtected: a key that is gone takes with it what it encrypts.
func TestKeysAreProtected(t *testing.T) {
	n := 0
	for _, r := range mustRun(t, everything(t)).resources {
		if r.Type != "gcp:kms/keyRing:KeyRing" && r.Type != "gcp:kms/cryptoKey:CryptoKey" {
			continue
		}
		n++
		if !r.Protect {
			t.Errorf("%s is not protected", r.key())
		}
		if r.Type == "gcp:kms/cryptoKey:CryptoKey" && field(r, "destroyScheduledDuration") != "2592000s" {
			t.Errorf("%s: destroyed after %v", r.key(), field(r, "destroyScheduledDuration"))
		}
	}
	if n != 7 {
		t.Errorf("%d rings and keys, want 7", n)
	}
}

// TestKeyGrants: each service's agent holds the key of its use and no other.
func TestKeyGrants(t *testing.T) {
	agents := map[string]string{
		storageKey:  "service-123456789012@gs-project-accounts.iam.gserviceaccount.com",
		secretsKey:  "service-123456789012@gcp-sa-secretmanager.iam.gserviceaccount.com",
		registryKey: "service-123456789012@gcp-sa-artifactregistry.iam.gserviceaccount.com",
		runKey:      "service-123456789012@gcp-sa-run.iam.gserviceaccount.com", // as the mock names it
		spannerKey:  "service-123456789012@gcp-sa-spanner.iam.gserviceaccount.com",
		tasksKey:    "service-123456789012@gcp-sa-cloudtasks.iam.gserviceaccount.com",
	}
	grants := mustRun(t, everything(t)).only("gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember")
	if len(grants) != len(agents) {
		t.Errorf("%d grants, want %d", len(grants), len(agents))
	}
	for _, r := range grants {
		if got, want := field(r, "member"), "serviceAccount:"+agents[r.Name]; got != want {
			t.Errorf("%s: member %v, want %s", r.Name, got, want)
		}
		if id, _ := field(r, "cryptoKeyId").(string); !strings.HasSuffix(id, "/cryptoKeys/"+r.Name) {
			t.Errorf("%s is a grant on %s", r.Name, id)
		}
	}
}

// TestDataHasLocks: what holds data in prod cannot be deleted by an update.
func TestDataHasLocks(t *testing.T) {
	for _, r := range mustRun(t, everything(t)).only("gcp:storage/bucket:Bucket") {
		if r.Name == "config" { // made from stack config
			continue
		}
		if !r.Protect || field(r, "forceDestroy") != false {
			t.Errorf("bucket %s: protect %t, forceDestroy %v", r.Name, r.Protect, field(r, "forceDestroy"))
		}
	}
}

// TestBucketsAreSetUpAlike: nothing public, one kind of access control, a
// lifecycle, and no default hold that would keep every object for ever.
func TestBucketsAreSetUpAlike(t *testing.T) {
	buckets := mustRun(t, everything(t)).only("gcp:storage/bucket:Bucket")
	if len(buckets) != 5 {
		t.Errorf("%d buckets, want audio, config, documents, exports and access-logs", len(buckets))
	}
	for _, r := range buckets {
		for path, want := range map[string]any{
			"publicAccessPrevention": "enforced", "uniformBucketLevelAccess": true, "location": "US-CENTRAL1", "defaultEventBasedHold": nil,
		} {
			if got := field(r, path); got != want {
				t.Errorf("%s: %s is %v, want %v", r.Name, path, got, want)
			}
		}
		if rules, _ := plain(r.Inputs["lifecycleRules"]).([]any); len(rules) == 0 {
			t.Errorf("%s has no lifecycle", r.Name)
		}
	}
}

// TestAuditNotesEveryRead of what decides who reaches data, and that of data
// itself by config only.
func TestAuditNotesEveryRead(t *testing.T) {
	s := everything(t)
	s.edit(t, "ingestion:audit", func(m map[string]any) { m["reads"] = false })
	for _, r := range mustRun(t, s).only("gcp:projects/iAMAuditConfig:IAMAuditConfig") {
		reads := false
		for _, c := range plain(r.Inputs["auditLogConfigs"]).([]any) {
			reads = reads || c.(map[string]any)["logType"] == "DATA_READ"
		}
		service := field(r, "service").(string)
		if want := service != apiSpanner && service != apiStorage; reads != want {
			t.Errorf("%s: reads noted %t, want %t", service, reads, want)
		}
	}
}
