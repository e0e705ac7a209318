package provider

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/local/cloud/iam"
)

const testKey = "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k"

// TestAKeyNeedsItsGrant: what a service would refuse to encrypt is refused
// here, so a program that grants too late fails on this machine too.
func TestAKeyNeedsItsGrant(t *testing.T) {
	t.Parallel()
	env := Env{Project: "p", ProjectNumber: "123", Region: "us-central1"}
	policy := iam.New(env.Project, env.ProjectNumber)
	bucket := obeyKeys(env, policy, []Kind{{
		Type: "gcp:storage/bucket:Bucket", Mode: Recorded, ID: func(in Object) string { return str(in, "name") },
	}})[0]
	in := Object{"name": "b", "location": "US-CENTRAL1", "encryption": Object{"defaultKmsKeyName": testKey}}

	_, _, err := bucket.Create(t.Context(), in)
	const agent = "serviceAccount:service-123@gs-project-accounts.iam.gserviceaccount.com"
	if err == nil || !strings.Contains(err.Error(), agent) || !strings.Contains(err.Error(), "roles/cloudkms.cryptoKeyEncrypterDecrypter") {
		t.Errorf("without a grant: %v, want an error that names the agent and the role", err)
	}
	if err := policy.Grant(iam.Grant{
		Service: "cloudkms.googleapis.com", Resource: testKey, Role: "roles/cloudkms.cryptoKeyEncrypterDecrypter", Member: agent,
	}); err != nil {
		t.Fatal(err)
	}
	id, out, err := bucket.Create(t.Context(), in)
	if err != nil || id != "b" || out["name"] != "b" {
		t.Errorf("with the grant: %q, %v, %v", id, out, err)
	}
}

func TestKeyNames(t *testing.T) {
	t.Parallel()
	secret := obeyKeys(testEnv, nil, []Kind{{Type: "gcp:secretmanager/secret:Secret"}})[0]
	in := func(key string) Object {
		return Object{"replication": Object{"userManaged": Object{"replicas": []any{
			Object{"location": "us-central1", "customerManagedEncryption": Object{"kmsKeyName": key}},
		}}}}
	}
	for key, want := range map[string]int{testKey: 0, "k": 1, testKey + "/cryptoKeyVersions/1": 1} {
		if got := secret.Validate(in(key), nil); len(got) != want {
			t.Errorf("%s: %v, want %d failures", key, got, want)
		}
	}
	repository := obeyKeys(testEnv, nil, []Kind{{Type: "gcp:artifactregistry/repository:Repository"}})[0]
	got := repository.Validate(Object{"location": "europe-west1", "kmsKeyName": testKey}, nil)
	if diff := cmp.Diff([]Failure{{"kmsKeyName", "the key is in us-central1, not in europe-west1"}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestKeysAreValidated(t *testing.T) {
	t.Parallel()
	kinds := map[string]Kind{}
	for _, k := range kmsKinds() {
		kinds[k.Type] = k
	}
	for name, tt := range map[string]struct {
		typ  string
		in   Object
		want []string // properties
	}{
		"ring":       {"gcp:kms/keyRing:KeyRing", Object{"name": "ingestion"}, nil},
		"ring_name":  {"gcp:kms/keyRing:KeyRing", Object{"name": "in.gestion"}, []string{"name"}},
		"key":        {"gcp:kms/cryptoKey:CryptoKey", Object{"name": "k", "keyRing": "projects/p/locations/l/keyRings/r", "purpose": "ENCRYPT_DECRYPT", "rotationPeriod": "7776000s", "destroyScheduledDuration": "86400s"}, nil},
		"durations":  {"gcp:kms/cryptoKey:CryptoKey", Object{"name": "k", "purpose": "ENCRYPT_DECRYPT", "rotationPeriod": "90d", "destroyScheduledDuration": "3600s"}, []string{"rotationPeriod", "destroyScheduledDuration"}},
		"signing":    {"gcp:kms/cryptoKey:CryptoKey", Object{"name": "k", "purpose": "ASYMMETRIC_SIGN", "rotationPeriod": "86400s"}, []string{"rotationPeriod"}},
		"protection": {"gcp:kms/cryptoKey:CryptoKey", Object{"keyRing": "r", "versionTemplate": Object{"protectionLevel": "STRONG"}}, []string{"keyRing", "versionTemplate.protectionLevel"}},
	} {
		var got []string
		for _, f := range kinds[tt.typ].Validate(tt.in, nil) {
			got = append(got, f.Property)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestSinksAndAuditConfigsAreValidated(t *testing.T) {
	t.Parallel()
	sink := loggingKinds(testEnv)[0]
	for destination, want := range map[string]int{
		"storage.googleapis.com/b": 0, "bigquery.googleapis.com/projects/p/datasets/d": 0, "gs://b": 1, "pubsub.googleapis.com/topic": 1,
	} {
		if got := sink.Validate(Object{"name": "s", "destination": destination}, nil); len(got) != want {
			t.Errorf("%s: %v, want %d failures", destination, got, want)
		}
	}
	audit := auditKind(t)
	config := func(types ...any) Object {
		var list []any
		for _, typ := range types {
			list = append(list, Object{"logType": typ})
		}
		return Object{"service": "spanner.googleapis.com", "auditLogConfigs": list}
	}
	for want, in := range []Object{config("ADMIN_READ", "DATA_READ"), config("DATA_READ", "DATA_READ"), config("READ", "WRITE")} {
		if got := audit.Validate(in, nil); len(got) != want {
			t.Errorf("%v: %v, want %d failures", in, got, want)
		}
	}
}

// auditKind is that of audit configs.
func auditKind(t *testing.T) Kind {
	t.Helper()
	return iamKind(t, "gcp:projects/iAMAuditConfig:IAMAuditConfig")
}

func iamKind(t *testing.T, typ string) Kind {
	t.Helper()
	for _, k := range iamKinds(testEnv) {
		if k.Type == typ {
			return k
		}
	}
	t.Fatalf("no kind %s", typ)
	return Kind{}
}
