package stack

import (
	"strings"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/storage"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const daySeconds = 24 * 60 * 60

// registerStorage makes the bucket of recordings, and that of the tenant
// manifest with the manifest in it.
func (p *program) registerStorage() error {
	if err := p.registerAudio(); err != nil {
		return err
	}
	return p.registerManifest()
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
	args := &storage.BucketArgs{
		Project: pulumi.String(p.cfg.Project),
		Name:    pulumi.String(c.Bucket),
		// Upper case is what the API answers; another would show as a change
		// that replaces the bucket.
		Location:                 pulumi.String(strings.ToUpper(p.cfg.Region)),
		StorageClass:             pulumi.String("STANDARD"),
		UniformBucketLevelAccess: pulumi.Bool(true),
		PublicAccessPrevention:   pulumi.String("enforced"),
		Versioning:               &storage.BucketVersioningArgs{Enabled: pulumi.Bool(false)},
		SoftDeletePolicy: &storage.BucketSoftDeletePolicyArgs{
			RetentionDurationSeconds: pulumi.Int(c.SoftDeleteDays * daySeconds),
		},
		ForceDestroy: pulumi.Bool(c.ForceDestroy),
		Labels:       p.labels("audio"),
	}
	if c.RetentionDays > 0 {
		args.RetentionPolicy = &storage.BucketRetentionPolicyArgs{
			RetentionPeriod: pulumi.Int(c.RetentionDays * daySeconds),
			IsLocked:        pulumi.Bool(c.LockRetention),
		}
	}
	// A recording is read within minutes of its arrival, and hardly ever
	// after.
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
	rule(c.NearlineDays, "SetStorageClass", "NEARLINE")
	rule(c.ColdlineDays, "SetStorageClass", "COLDLINE")
	rule(c.DeleteDays, "Delete", "")
	// The parts of an upload that was broken off are no recording.
	rule(1, "AbortIncompleteMultipartUpload", "")
	args.LifecycleRules = rules

	bucket, err := storage.NewBucket(p.ctx, "audio", args, p.needs(apiStorage), pulumi.Protect(!c.ForceDestroy))
	if err != nil {
		return err
	}
	p.audio = bucket
	return p.grantOnBucket("audio", bucket, func(w *workload) []string { return w.audioRoles })
}

// registerManifest writes the list of tenants for the job tenant-sync. The
// object is named by its content, so a new list is a new object and the job
// that a deployment starts never reads another one's.
func (p *program) registerManifest() error {
	bucket, err := storage.NewBucket(p.ctx, "config", &storage.BucketArgs{
		Project:                  pulumi.String(p.cfg.Project),
		Name:                     pulumi.String(p.cfg.Project + "-" + app + "-config"),
		Location:                 pulumi.String(strings.ToUpper(p.cfg.Region)),
		StorageClass:             pulumi.String("STANDARD"),
		UniformBucketLevelAccess: pulumi.Bool(true),
		PublicAccessPrevention:   pulumi.String("enforced"),
		// Everything in it is made from stack config, so nothing needs to be
		// kept, and it may go with what is in it.
		Versioning:       &storage.BucketVersioningArgs{Enabled: pulumi.Bool(false)},
		SoftDeletePolicy: &storage.BucketSoftDeletePolicyArgs{RetentionDurationSeconds: pulumi.Int(0)},
		ForceDestroy:     pulumi.Bool(true),
		Labels:           p.labels("config"),
	}, p.needs(apiStorage))
	if err != nil {
		return err
	}
	text, err := p.cfg.manifestJSON()
	if err != nil {
		return err
	}
	p.manifest, err = storage.NewBucketObject(p.ctx, "tenants", &storage.BucketObjectArgs{
		Bucket:      bucket.Name,
		Name:        pulumi.String("tenants/" + contentHash(text) + ".json"),
		Content:     pulumi.String(text),
		ContentType: pulumi.String("application/json"),
	})
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
