package stack

import (
	"strings"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/logging"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/projects"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/storage"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// AuditConfig says whether Google notes who reads and writes the platform's
// data (data access audit logs), and how long that is kept. Changes of
// resources and of policies are always noted, at no cost.
type AuditConfig struct {
	Enabled       bool   `json:"enabled"`
	Reads         bool   `json:"reads"`         // of data too: Spanner and Cloud Storage write a line for each read
	Bucket        string `json:"bucket"`        // of the archive; "" = <project>-ingestion-access-logs
	RetentionDays int    `json:"retentionDays"` // no line of the archive can be deleted before, and each is after
	ColdlineDays  int    `json:"coldlineDays"`  // age at which lines move to COLDLINE
	ForceDestroy  bool   `json:"forceDestroy"`  // destroy the archive with what is in it; then it has no retention policy
}

func (c AuditConfig) validate(errs *problems) {
	const path = "ingestion:audit"
	validateBucket(path, c.Bucket, 0, errs)
	if c.RetentionDays < 1 || c.RetentionDays > 3650 {
		errs.add(path+".retentionDays", "must be 1 to 3650, not %d", c.RetentionDays)
	}
	if c.ColdlineDays < 1 || c.ColdlineDays >= c.RetentionDays {
		errs.add(path+".coldlineDays", "must be 1 or more and less than retentionDays (%d), not %d", c.RetentionDays, c.ColdlineDays)
	}
}

// audited are the services whose data the platform keeps, or that decide who
// may reach it.
var audited = []string{apiIAM, apiKMS, apiSecrets, apiSpanner, apiStorage}

// registerAudit switches data access audit logs on. Reads of secrets, keys and
// identities are few and always noted; those of the database and of buckets
// come with every request and are noted by config.
func (p *program) registerAudit() error {
	c := p.cfg.Audit
	if !c.Enabled {
		return nil
	}
	child, err := p.component("audit", "audit")
	if err != nil {
		return err
	}
	for _, api := range audited {
		types := []string{"ADMIN_READ", "DATA_READ", "DATA_WRITE"}
		if (api == apiSpanner || api == apiStorage) && !c.Reads {
			types = []string{"ADMIN_READ", "DATA_WRITE"}
		}
		var configs projects.IAMAuditConfigAuditLogConfigArray
		for _, t := range types {
			configs = append(configs, &projects.IAMAuditConfigAuditLogConfigArgs{LogType: pulumi.String(t)})
		}
		if _, err := projects.NewIAMAuditConfig(p.ctx, "audit-"+strings.TrimSuffix(api, ".googleapis.com"), &projects.IAMAuditConfigArgs{
			Project:         pulumi.String(p.cfg.Project),
			Service:         pulumi.String(api),
			AuditLogConfigs: configs,
		}, child, p.needs(apiResourceManager)); err != nil {
			return err
		}
	}
	return nil
}

// registerAccessLogs archives the data access audit logs in a bucket, beyond
// the 30 days of the project's own log bucket.
//
// They take the place of Cloud Storage's usage logs: those come by the hour,
// when they come, know no account, and cover nothing but buckets.
func (p *program) registerAccessLogs() error {
	c := p.cfg.Audit
	if !c.Enabled {
		return nil
	}
	child, err := p.component("storage", "access-logs")
	if err != nil {
		return err
	}
	args := p.bucket(c.Bucket, "access-logs", 0, c.ForceDestroy)
	args.LifecycleRules = lifecycle(0, c.ColdlineDays, c.RetentionDays)
	if !c.ForceDestroy {
		args.RetentionPolicy = &storage.BucketRetentionPolicyArgs{
			RetentionPeriod: pulumi.Int(c.RetentionDays * daySeconds),
			IsLocked:        pulumi.Bool(false),
		}
	}
	bucket, err := storage.NewBucket(p.ctx, "access-logs", args, child, p.needs(apiStorage), p.afterKey(storageKey), pulumi.Protect(!c.ForceDestroy))
	if err != nil {
		return err
	}
	sink, err := logging.NewProjectSink(p.ctx, "access-logs", &logging.ProjectSinkArgs{
		Project:              pulumi.String(p.cfg.Project),
		Name:                 pulumi.String(app + "-access-logs"),
		Description:          pulumi.String("Who read and wrote the platform's data."),
		Destination:          pulumi.Sprintf("storage.googleapis.com/%s", bucket.Name),
		Filter:               pulumi.String(`log_id("cloudaudit.googleapis.com/data_access")`),
		UniqueWriterIdentity: pulumi.Bool(true),
	}, child, p.needs(apiLogging))
	if err != nil {
		return err
	}
	_, err = storage.NewBucketIAMMember(p.ctx, "access-logs-writer", &storage.BucketIAMMemberArgs{
		Bucket: bucket.Name,
		Role:   pulumi.String("roles/storage.objectCreator"),
		Member: sink.WriterIdentity,
	}, child)
	return err
}
