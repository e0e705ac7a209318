package stack

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/logging"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ingestion.internal/shared/topology"
)

// serviceLogs matches all that belongs to the platform's own workloads: what
// they write, what Cloud Run says of them, and what Cloud Tasks, Cloud
// Scheduler and the gateway log about their calls. It names each, so that what
// else runs in the project stays where it is.
func serviceLogs(cfg *Config) string {
	var services, jobs, schedules []string
	for _, w := range catalog {
		switch {
		case w.job:
			jobs = append(jobs, w.name)
		default:
			services = append(services, w.name)
		}
		if w.schedule != nil {
			schedules = append(schedules, w.name)
		}
	}
	var queues []string
	for _, id := range topology.Queues {
		queues = append(queues, string(id))
	}
	var parts []string
	for _, part := range []struct {
		resource, label string
		names           []string
	}{
		{"cloud_run_revision", "service_name", services},
		{"cloud_run_job", "job_name", jobs},
		{"cloud_tasks_queue", "queue_id", queues},
		{"cloud_scheduler_job", "job_id", schedules},
		{"apigateway.googleapis.com/Gateway", "gateway_id", []string{app}},
	} {
		if len(part.names) > 0 {
			parts = append(parts, fmt.Sprintf("(resource.type=%q AND resource.labels.%s=%s)", part.resource, part.label, anyOf(part.names)))
		}
	}
	return "(" + strings.Join(parts, " OR ") + `) AND NOT logName:"cloudaudit.googleapis.com"`
}

// auditLogs matches who did and read what in the project: Cloud Audit Logs,
// where data access is switched on the reads of data too.
const auditLogs = `logName:("cloudaudit.googleapis.com%2Factivity" OR "cloudaudit.googleapis.com%2Fdata_access" OR ` +
	`"cloudaudit.googleapis.com%2Fpolicy" OR "cloudaudit.googleapis.com%2Fsystem_event")`

// anyOf writes the names as the value of a comparison in Cloud Logging's
// language.
func anyOf(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range slices.Sorted(slices.Values(names)) {
		quoted[i] = fmt.Sprintf("%q", name)
	}
	return "(" + strings.Join(quoted, " OR ") + ")"
}

// registerLogs keeps the logs in buckets of the stack's own region with the
// retention that config says, and out of the project's _Default bucket, where
// they would be stored, and paid, once more. Log-based metrics count what is
// excluded there all the same.
// https://cloud.google.com/logging/docs/routing/overview#exclusions
func (p *program) registerLogs() error {
	c := p.cfg.Monitoring.Logs
	platform := serviceLogs(p.cfg)
	for _, bucket := range []struct {
		name, filter string
		days         int
		locked       bool
	}{
		{"ingestion-services", platform, c.RetentionDays, false},
		{"ingestion-audit", auditLogs, c.AuditRetentionDays, c.LockAudit},
	} {
		if bucket.days == 0 {
			continue
		}
		kept, err := logging.NewProjectBucketConfig(p.ctx, "logs-"+bucket.name, &logging.ProjectBucketConfigArgs{
			Project:       pulumi.String(p.cfg.Project),
			Location:      pulumi.String(p.cfg.Region),
			BucketId:      pulumi.String(bucket.name),
			RetentionDays: pulumi.Int(bucket.days),
			Locked:        pulumi.Bool(bucket.locked),
			// Costs nothing, and lets operators ask by SQL.
			EnableAnalytics: pulumi.Bool(true),
		}, p.watching, p.needs(apiLogging), pulumi.Protect(p.cfg.Protect))
		if err != nil {
			return err
		}
		// A sink to a bucket of the same project needs no grant.
		if _, err := logging.NewProjectSink(p.ctx, "logs-"+bucket.name, &logging.ProjectSinkArgs{
			Project: pulumi.String(p.cfg.Project),
			Name:    pulumi.String(bucket.name),
			Destination: pulumi.Sprintf("logging.googleapis.com/projects/%s/locations/%s/buckets/%s",
				p.cfg.Project, kept.Location, kept.BucketId),
			Filter:               pulumi.String(bucket.filter),
			UniqueWriterIdentity: pulumi.Bool(true),
		}, p.watching, p.needs(apiLogging)); err != nil {
			return err
		}
	}
	_, err := logging.NewProjectExclusion(p.ctx, "logs-ingestion-services", &logging.ProjectExclusionArgs{
		Project:     pulumi.String(p.cfg.Project),
		Name:        pulumi.String("ingestion-services"),
		Description: pulumi.String("Kept in the bucket ingestion-services"),
		Filter:      pulumi.String(platform),
	}, p.watching, p.needs(apiLogging))
	return err
}
