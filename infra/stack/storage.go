package stack

import (
	"strings"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/storage"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ingestion.internal/ddl"
	"ingestion.internal/shared/topology"
)

const daySeconds = 24 * 60 * 60

// registerStorage makes the buckets of recordings and of documents, that of the tenant manifest
// with the manifest in it, and those of exports and access logs.
func (p *program) registerStorage() error {
	for _, register := range []func() error{p.registerAudio, p.registerDocuments, p.registerManifest, p.registerExports, p.registerAccessLogs} {
		if err := register(); err != nil {
			return err
		}
	}
	return nil
}

// ExportsConfig describes the bucket that tenants' data is exported to. Each
// export lies below its tenant's id.
type ExportsConfig struct {
	Enabled        bool   `json:"enabled"`
	Bucket         string `json:"bucket"`         // "" = <project>-ingestion-exports
	DeleteDays     int    `json:"deleteDays"`     // age at which an export is deleted; it can be made again
	SoftDeleteDays int    `json:"softDeleteDays"` // how long a deleted one can be restored; 0 or 7-90
	ForceDestroy   bool   `json:"forceDestroy"`   // destroy the bucket with what is in it
}

func (c ExportsConfig) validate(errs *problems) {
	const path = "ingestion:exports"
	validateBucket(path, c.Bucket, c.SoftDeleteDays, errs)
	if c.DeleteDays < 1 {
		errs.add(path+".deleteDays", "must be at least 1, not %d: exports are copies, and none is kept for ever", c.DeleteDays)
	}
}

// validateBucket checks what buckets have in common.
func validateBucket(path, name string, softDeleteDays int, errs *problems) {
	if name != "" {
		if err := checkBucket(name); err != nil {
			errs.add(path+".bucket", "%v", err)
		}
	}
	if softDeleteDays != 0 && (softDeleteDays < 7 || softDeleteDays > 90) {
		errs.add(path+".softDeleteDays", "must be 0 or 7 to 90, not %d", softDeleteDays)
	}
}

// bucket returns what every bucket has: one class of access control, nothing
// public, the stack's key, and no versions.
//
// Holds stay possible everywhere: no bucket sets a default hold, and a hold on
// one object outlives every lifecycle rule and retention policy.
func (p *program) bucket(name, component string, softDeleteDays int, forceDestroy bool) *storage.BucketArgs {
	args := &storage.BucketArgs{
		Project: pulumi.String(p.cfg.Project),
		Name:    pulumi.String(name),
		// Upper case is what the API answers; another would show as a change
		// that replaces the bucket.
		Location:                 pulumi.String(strings.ToUpper(p.cfg.Region)),
		StorageClass:             pulumi.String("STANDARD"),
		UniformBucketLevelAccess: pulumi.Bool(true),
		PublicAccessPrevention:   pulumi.String("enforced"),
		Versioning:               &storage.BucketVersioningArgs{Enabled: pulumi.Bool(false)},
		SoftDeletePolicy: &storage.BucketSoftDeletePolicyArgs{
			RetentionDurationSeconds: pulumi.Int(softDeleteDays * daySeconds),
		},
		ForceDestroy: pulumi.Bool(forceDestroy),
		Labels:       p.labels(component),
	}
	if e, ok := p.keys[storageKey]; ok {
		args.Encryption = &storage.BucketEncryptionArgs{DefaultKmsKeyName: e.key.ID()}
	}
	return args
}

// lifecycle says at what age, in days, objects become cheaper to keep, and when
// they are deleted; 0 is never. What is left of a broken upload is no object,
// and goes after a day.
func lifecycle(nearlineDays, coldlineDays, deleteDays int) storage.BucketLifecycleRuleArray {
	var rules storage.BucketLifecycleRuleArray
	rule := func(days int, action, class string) {
		if days == 0 {
			return
		}
		a := &storage.BucketLifecycleRuleActionArgs{Type: pulumi.String(action)}
		if class != "" {
			a.StorageClass = pulumi.String(class)
		}
		rules = append(rules, &storage.BucketLifecycleRuleArgs{
			Action:    a,
			Condition: &storage.BucketLifecycleRuleConditionArgs{Age: pulumi.Int(days)},
		})
	}
	rule(nearlineDays, "SetStorageClass", "NEARLINE")
	rule(coldlineDays, "SetStorageClass", "COLDLINE")
	rule(deleteDays, "Delete", "")
	rule(1, "AbortIncompleteMultipartUpload", "")
	return rules
}

// registerAudio makes the bucket of call recordings.
//
// Versioning stays off: a recording is written once under its own name, the
// services may neither overwrite nor delete it, and Cloud Storage did not
// always allow versions beside a retention policy. What protects recordings is
// the retention policy, and after it soft delete, for the one case that
// remains: an operator who deletes too much.
func (p *program) registerAudio() error {
	c := p.cfg.Audio
	args := p.bucket(c.Bucket, "audio", c.SoftDeleteDays, c.ForceDestroy)
	if c.RetentionDays > 0 {
		args.RetentionPolicy = &storage.BucketRetentionPolicyArgs{
			RetentionPeriod: pulumi.Int(c.RetentionDays * daySeconds),
			IsLocked:        pulumi.Bool(c.LockRetention),
		}
	}
	// A recording is read within minutes of its arrival, and hardly ever
	// after.
	args.LifecycleRules = lifecycle(c.NearlineDays, c.ColdlineDays, c.DeleteDays)
	bucket, err := storage.NewBucket(p.ctx, "audio", args, p.needs(apiStorage), p.afterKey(storageKey), pulumi.Protect(!c.ForceDestroy))
	if err != nil {
		return err
	}
	p.audio = bucket
	return p.grantOnBucket("audio", bucket, func(w *workload) []string { return w.audioRoles })
}

// registerExports makes the bucket of exports. No workload writes to it yet; it
// is there so that an operator's export of a tenant has a place with a key, a
// region and an end.
func (p *program) registerExports() error {
	c := p.cfg.Exports
	if !c.Enabled {
		return nil
	}
	child, err := p.component("storage", "exports")
	if err != nil {
		return err
	}
	args := p.bucket(c.Bucket, "exports", c.SoftDeleteDays, c.ForceDestroy)
	args.LifecycleRules = lifecycle(0, 0, c.DeleteDays)
	_, err = storage.NewBucket(p.ctx, "exports", args, child, p.needs(apiStorage), p.afterKey(storageKey), pulumi.Protect(!c.ForceDestroy))
	return err
}

// registerManifest writes the list of tenants for the job tenant-sync. The
// object is named by all that has the job run, so what is new is a new object,
// the job that a deployment starts never reads another one's, and what was there
// before is a new object again, see registerJob.
func (p *program) registerManifest() error {
	// Everything in it is made from stack config, so nothing needs to be kept,
	// and it may go with what is in it.
	args := p.bucket(p.cfg.Project+"-"+app+"-config", "config", 0, true)
	args.LifecycleRules = lifecycle(0, 0, 0)
	bucket, err := storage.NewBucket(p.ctx, "config", args, p.needs(apiStorage), p.afterKey(storageKey))
	if err != nil {
		return err
	}
	text, err := p.cfg.manifestJSON()
	if err != nil {
		return err
	}
	set, err := p.images()
	if err != nil {
		return err
	}
	run := contentHash(text, strings.Join(ddl.Statements(), ";"), set.Digest(topology.TenantSync), p.cfg.TenantSync.Run)
	p.manifest, err = storage.NewBucketObject(p.ctx, "tenants", &storage.BucketObjectArgs{
		Bucket:      bucket.Name,
		Name:        pulumi.String("tenants/" + run + ".json"),
		Content:     pulumi.String(text),
		ContentType: pulumi.String("application/json"),
	}, pulumi.RetainOnDelete(true)) // an update that failed would delete what a way back has made under the same name; they go with the bucket
	if err != nil {
		return err
	}
	return p.grantOnBucket("config", bucket, func(w *workload) []string { return w.configRoles })
}

// grantOnBucket grants workloads their roles on a bucket.
func (p *program) grantOnBucket(name string, bucket *storage.Bucket, roles func(*workload) []string) error {
	for i := range catalog {
		w := &catalog[i]
		for _, role := range roles(w) {
			grant, err := storage.NewBucketIAMMember(p.ctx, w.name+"-"+name+"-"+shortRole(role), &storage.BucketIAMMemberArgs{
				Bucket: bucket.Name,
				Role:   pulumi.String(role),
				Member: p.member(w.name),
			})
			if err != nil {
				return err
			}
			p.holds(w.name, grant)
		}
	}
	return nil
}
