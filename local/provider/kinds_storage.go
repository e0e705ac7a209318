package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	api "google.golang.org/api/storage/v1"

	"ingestion.internal/local/cloud/storage"
)

// storageKinds are Cloud Storage's resources.
func storageKinds(store *storage.Service) []Kind {
	bucketOutputs := func(in Object, b *api.Bucket) Object {
		out := withLabels(in, clone(in))
		out["url"], out["selfLink"], out["projectNumber"] = "gs://"+b.Name, b.SelfLink, float64(b.ProjectNumber)
		if p := b.SoftDeletePolicy; p != nil && in["softDeletePolicy"] == nil {
			out["softDeletePolicy"] = Object{"retentionDurationSeconds": float64(p.RetentionDurationSeconds), "effectiveTime": p.EffectiveTime}
		}
		return out
	}
	bucket := Kind{
		Type: "gcp:storage/bucket:Bucket", Mode: Live,
		Required: []string{"location"},
		Replace:  []string{"customPlacementConfig.dataLocations", "enableObjectRetention", "location", "name", "project"},
		Computed: []string{"projectNumber", "selfLink"},
		Normalize: func(env Env, urn string, in Object) {
			inProject(env, urn, in)
			setDefault(in, "name", autoName(urn))
			setDefault(in, "storageClass", "STANDARD")
			setDefault(in, "forceDestroy", false)
			setDefault(in, "publicAccessPrevention", "inherited")
			if location := str(in, "location"); location != "" {
				in["location"] = strings.ToUpper(location) // the API's form
			}
		},
		Validate: func(in Object, _ map[string]bool) []Failure {
			failures := validateLabels(in)
			failures = append(failures, oneOf(in, "publicAccessPrevention", "inherited", "enforced")...)
			if err, ok := storage.Validate(bucketOf(in)).(interface{ Unwrap() []error }); ok {
				for _, err := range err.Unwrap() {
					property, _, _ := strings.Cut(err.Error(), " ")
					failures = append(failures, Failure{property, err.Error()})
				}
			}
			return failures
		},
		ID:      func(in Object) string { return str(in, "name") },
		Outputs: func(in Object) Object { return withLabels(in, Object{"url": "gs://" + str(in, "name")}) },
		Create: func(_ context.Context, in Object) (string, Object, error) {
			b, err := store.InsertBucket(bucketOf(in))
			if err != nil {
				return "", nil, err
			}
			return b.Name, bucketOutputs(in, b), nil
		},
		Update: func(_ context.Context, _ string, _, in Object) (Object, error) {
			b, err := store.UpdateBucket(bucketOf(in))
			if err != nil {
				return nil, err
			}
			return bucketOutputs(in, b), nil
		},
		Delete: func(_ context.Context, id string, old Object) error {
			if err := store.DeleteBucket(id, boolean(old, "forceDestroy")); err != nil && !missing(err) {
				return fmt.Errorf("deleting the bucket %s: %w", id, err)
			}
			return nil
		},
		Read: func(_ context.Context, id string, old Object) (Object, bool, error) {
			_, err := store.Bucket(id)
			if missing(err) {
				return nil, false, nil
			}
			return old, err == nil, err
		},
	}

	write := func(in Object) (Object, error) {
		if in["source"] != nil {
			return nil, errors.New("the local cloud writes bucket objects from content, not from source")
		}
		o, err := store.InsertObject(storage.Object{
			Bucket: str(in, "bucket"), Name: str(in, "name"), ContentType: str(in, "contentType"),
			CacheControl: str(in, "cacheControl"), Metadata: stringMap(in, "metadata"), Content: []byte(str(in, "content")),
		})
		if err != nil {
			return nil, err
		}
		return objectOutputs(in, o), nil
	}
	file := Kind{
		Type: "gcp:storage/bucketObject:BucketObject", Mode: Live,
		Required: []string{"bucket"},
		Replace: []string{
			"bucket", "cacheControl", "contentDisposition", "contentEncoding", "contentLanguage", "contentType",
			"customerEncryption.encryptionAlgorithm", "customerEncryption.encryptionKey",
			"kmsKeyName", "metadata", "name", "source", "storageClass",
		},
		Computed: []string{"crc32c", "generation", "md5hash", "mediaLink", "selfLink"},
		Volatile: []string{"crc32c", "generation", "md5hash", "mediaLink"},
		Normalize: func(_ Env, urn string, in Object) {
			setDefault(in, "name", autoName(urn))
			if in["content"] != nil {
				setDefault(in, "contentType", "text/plain; charset=utf-8")
			}
		},
		Validate: func(in Object, unknown map[string]bool) []Failure {
			hasContent, hasSource := in["content"] != nil || unknown["content"], in["source"] != nil || unknown["source"]
			if hasContent == hasSource {
				return []Failure{{"content", "exactly one of content and source is given"}}
			}
			return nil
		},
		ID:      func(in Object) string { return str(in, "bucket") + "-" + str(in, "name") },
		Outputs: func(in Object) Object { return Object{"outputName": str(in, "name")} },
		Update: func(_ context.Context, _ string, _, in Object) (Object, error) {
			return write(in)
		},
		Delete: func(_ context.Context, _ string, old Object) error {
			if err := store.DeleteObject(str(old, "bucket"), str(old, "name")); err != nil && !missing(err) {
				return err
			}
			return nil
		},
		Read: func(_ context.Context, _ string, old Object) (Object, bool, error) {
			o, content, err := store.Object(str(old, "bucket"), str(old, "name"))
			if missing(err) {
				return nil, false, nil
			}
			if err != nil {
				return nil, false, err
			}
			out := objectOutputs(old, o)
			out["content"] = string(content)
			return out, true, nil
		},
	}
	file.Create = func(_ context.Context, in Object) (string, Object, error) {
		out, err := write(in)
		return file.ID(in), out, err
	}
	return []Kind{bucket, file}
}

// bucketOf shapes a bucket's inputs as the API does.
func bucketOf(in Object) *api.Bucket {
	b := &api.Bucket{
		Name: str(in, "name"), Location: str(in, "location"), StorageClass: str(in, "storageClass"), Labels: stringMap(in, "labels"),
		IamConfiguration: &api.BucketIamConfiguration{
			PublicAccessPrevention:   str(in, "publicAccessPrevention"),
			UniformBucketLevelAccess: &api.BucketIamConfigurationUniformBucketLevelAccess{Enabled: boolean(in, "uniformBucketLevelAccess")},
		},
	}
	if p := nested(in, "retentionPolicy"); p["retentionPeriod"] != nil {
		b.RetentionPolicy = &api.BucketRetentionPolicy{RetentionPeriod: int64(number(p, "retentionPeriod")), IsLocked: boolean(p, "isLocked")}
	}
	if p := nested(in, "softDeletePolicy"); p["retentionDurationSeconds"] != nil {
		b.SoftDeletePolicy = &api.BucketSoftDeletePolicy{RetentionDurationSeconds: int64(number(p, "retentionDurationSeconds"))}
	}
	if e := str(nested(in, "encryption"), "defaultKmsKeyName"); e != "" {
		b.Encryption = &api.BucketEncryption{DefaultKmsKeyName: e}
	}
	if v := nested(in, "versioning"); v != nil {
		b.Versioning = &api.BucketVersioning{Enabled: boolean(v, "enabled")}
	}
	for _, rule := range objects(in, "lifecycleRules") {
		if b.Lifecycle == nil {
			b.Lifecycle = &api.BucketLifecycle{}
		}
		action, condition := nested(rule, "action"), nested(rule, "condition")
		r := &api.BucketLifecycleRule{
			Action: &api.BucketLifecycleRuleAction{Type: str(action, "type"), StorageClass: str(action, "storageClass")},
			Condition: &api.BucketLifecycleRuleCondition{
				DaysSinceNoncurrentTime: int64(number(condition, "daysSinceNoncurrentTime")),
				NumNewerVersions:        int64(number(condition, "numNewerVersions")),
				MatchesPrefix:           stringList(condition, "matchesPrefixes"),
			},
		}
		if condition["age"] != nil {
			age := int64(number(condition, "age"))
			r.Condition.Age = &age
		}
		b.Lifecycle.Rule = append(b.Lifecycle.Rule, r)
	}
	return b
}

func objectOutputs(in Object, o fakestorage.ObjectAttrs) Object {
	out := clone(in)
	link := "/storage/v1/b/" + o.BucketName + "/o/" + o.Name
	out["outputName"], out["crc32c"], out["md5hash"], out["generation"] = o.Name, o.Crc32c, o.Md5Hash, float64(o.Generation)
	out["selfLink"], out["mediaLink"] = "https://www.googleapis.com"+link, "https://storage.googleapis.com/download"+link+"?alt=media"
	return out
}
