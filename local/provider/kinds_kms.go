package provider

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"ingestion.internal/local/cloud"
	"ingestion.internal/local/cloud/iam"
)

var (
	kmsID       = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,63}$`)
	kmsRingName = regexp.MustCompile(`^projects/[^/]+/locations/[a-z0-9-]+/keyRings/[a-zA-Z0-9_-]{1,63}$`)
	kmsKeyName  = regexp.MustCompile(`^projects/[^/]+/locations/([a-z0-9-]+)/keyRings/[a-zA-Z0-9_-]{1,63}/cryptoKeys/[a-zA-Z0-9_-]{1,63}$`)
)

// kmsKinds are Cloud KMS's key rings and keys. Nothing is encrypted on this
// machine; what names a key must be allowed to use it all the same, see
// obeyKeys.
//
// As in the cloud, deleting a ring or a key only forgets it: its name stays
// taken in the project.
func kmsKinds() []Kind {
	ring := Kind{
		Type: "gcp:kms/keyRing:KeyRing", Mode: Recorded,
		Required:  []string{"location"},
		Replace:   []string{"location", "name", "project"},
		Normalize: func(env Env, urn string, in Object) { inProject(env, urn, in); setDefault(in, "name", autoName(urn)) },
		Validate: func(in Object, _ map[string]bool) []Failure {
			return match(in, "name", kmsID, "1 to 63 letters, digits, underscores and hyphens")
		},
		ID: func(in Object) string {
			return "projects/" + str(in, "project") + "/locations/" + str(in, "location") + "/keyRings/" + str(in, "name")
		},
	}
	key := Kind{
		Type: "gcp:kms/cryptoKey:CryptoKey", Mode: Recorded,
		Required: []string{"keyRing"},
		Replace:  []string{"cryptoKeyBackend", "destroyScheduledDuration", "importOnly", "keyRing", "name", "purpose", "skipInitialVersionCreation", "versionTemplate.protectionLevel"},
		Normalize: func(_ Env, urn string, in Object) {
			setDefault(in, "name", autoName(urn))
			setDefault(in, "purpose", "ENCRYPT_DECRYPT")
		},
		Validate: func(in Object, _ map[string]bool) []Failure {
			failures := append(validateLabels(in), match(in, "name", kmsID, "1 to 63 letters, digits, underscores and hyphens")...)
			failures = append(failures, match(in, "keyRing", kmsRingName, "the full name of a key ring")...)
			failures = append(failures, oneOf(in, "purpose", "ENCRYPT_DECRYPT", "ASYMMETRIC_SIGN", "ASYMMETRIC_DECRYPT", "MAC")...)
			// https://cloud.google.com/kms/docs/key-rotation
			failures = append(failures, secondsBetween(in, "rotationPeriod", 24*3600, 1<<62)...)
			failures = append(failures, secondsBetween(in, "destroyScheduledDuration", 24*3600, 120*24*3600)...)
			if in["rotationPeriod"] != nil && str(in, "purpose") != "ENCRYPT_DECRYPT" {
				failures = append(failures, Failure{"rotationPeriod", "only symmetric keys rotate by themselves"})
			}
			if v := nested(in, "versionTemplate"); v != nil {
				for _, f := range oneOf(v, "protectionLevel", "SOFTWARE", "HSM", "EXTERNAL", "EXTERNAL_VPC") {
					failures = append(failures, Failure{"versionTemplate." + f.Property, f.Reason})
				}
			}
			return failures
		},
		ID:      func(in Object) string { return str(in, "keyRing") + "/cryptoKeys/" + str(in, "name") },
		Outputs: func(in Object) Object { return withLabels(in, Object{"primaries": []any{}}) },
	}
	return []Kind{ring, key}
}

// secondsBetween refuses a known duration that is not a number of seconds
// ("86400s") within the bounds.
func secondsBetween(in Object, name string, least, most int64) []Failure {
	s, ok := in[name].(string)
	if !ok {
		return nil
	}
	digits, found := strings.CutSuffix(s, "s")
	if n, err := strconv.ParseInt(digits, 10, 64); !found || err != nil || n < least || n > most {
		return []Failure{{name, fmt.Sprintf("%q is not a number of seconds from %d to %d, such as %ds", s, least, most, least)}}
	}
	return nil
}

// keyUser says where a type names its key, in dotted form as in Replace, and
// which service's agent uses it.
type keyUser struct{ at, service string }

// keyUsers are the types that can be encrypted with a key of the project.
var keyUsers = map[string]keyUser{
	"gcp:artifactregistry/repository:Repository": {"kmsKeyName", "artifactregistry.googleapis.com"},
	"gcp:cloudrunv2/job:Job":                     {"template.template.encryptionKey", "run.googleapis.com"},
	"gcp:cloudrunv2/service:Service":             {"template.encryptionKey", "run.googleapis.com"},
	"gcp:secretmanager/secret:Secret":            {"replication.userManaged.replicas.customerManagedEncryption.kmsKeyName", "secretmanager.googleapis.com"},
	"gcp:spanner/database:Database":              {"encryptionConfig.kmsKeyName", "spanner.googleapis.com"},
	"gcp:storage/bucket:Bucket":                  {"encryption.defaultKmsKeyName", "storage.googleapis.com"},
}

// obeyKeys makes kinds refuse, as the services do, a key that their service's
// agent was not granted yet, or that is in another location.
func obeyKeys(env Env, policy *iam.Policy, kinds []Kind) []Kind {
	for i := range kinds {
		user, ok := keyUsers[kinds[i].Type]
		if !ok {
			continue
		}
		k := kinds[i]
		validate, create, update := k.Validate, k.Create, k.Update
		kinds[i].Validate = func(in Object, unknown map[string]bool) []Failure {
			var failures []Failure
			if validate != nil {
				failures = validate(in, unknown)
			}
			for _, key := range stringsAt(in, strings.Split(user.at, ".")) {
				m := kmsKeyName.FindStringSubmatch(key)
				if m == nil {
					failures = append(failures, Failure{user.at, fmt.Sprintf("%q is not the full name of a key", key)})
				} else if location := strings.ToLower(str(in, "location")); location != "" && location != m[1] {
					failures = append(failures, Failure{user.at, fmt.Sprintf("the key is in %s, not in %s", m[1], location)})
				}
			}
			return failures
		}
		check := func(ctx context.Context, in Object) error {
			for _, key := range stringsAt(in, strings.Split(user.at, ".")) {
				agent := "serviceAccount:" + serviceAgent(env.ProjectNumber, user.service)
				if err := policy.Check(ctx, agent, "cloudkms.cryptoKeyVersions.useToEncrypt", cloud.Resource{
					Service: "cloudkms.googleapis.com", Type: "cloudkms.googleapis.com/CryptoKey", Name: key,
				}); err != nil {
					return fmt.Errorf("encrypting with %s: %w", key, err)
				}
			}
			return nil
		}
		kinds[i].Create = func(ctx context.Context, in Object) (string, Object, error) {
			if err := check(ctx, in); err != nil {
				return "", nil, err
			}
			if create == nil {
				return k.create(ctx, in)
			}
			return create(ctx, in)
		}
		if update != nil {
			kinds[i].Update = func(ctx context.Context, id string, old, in Object) (Object, error) {
				if err := check(ctx, in); err != nil {
					return nil, err
				}
				return update(ctx, id, old, in)
			}
		}
	}
	return kinds
}

// stringsAt returns the known strings at a path, through every element of the
// lists on it.
func stringsAt(v any, steps []string) []string {
	switch v := v.(type) {
	case Object:
		if len(steps) > 0 {
			return stringsAt(v[steps[0]], steps[1:])
		}
	case []any:
		var all []string
		for _, item := range v {
			all = append(all, stringsAt(item, steps)...)
		}
		return all
	case string:
		if len(steps) == 0 && v != "" {
			return []string{v}
		}
	}
	return nil
}
