package stack

import (
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/spanner"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// BackupConfig governs the service that backs the database up. When it runs is
// ingestion:schedules.backup.
type BackupConfig struct {
	RetentionDays int      `json:"retentionDays"` // then a backup ends by itself, 1-366
	MaxAge        duration `json:"maxAge"`        // of the newest complete backup, before it is an alert
}

func (c BackupConfig) validate(errs *problems) {
	const path = "ingestion:backup"
	// https://cloud.google.com/spanner/docs/backup: 6 hours to a year.
	if c.RetentionDays < 1 || c.RetentionDays > 366 {
		errs.add(path+".retentionDays", "must be 1 to 366, not %d", c.RetentionDays)
	}
	if c.MaxAge < seconds(3600) {
		errs.add(path+".maxAge", "must be at least 1h, not %s", c.MaxAge)
	}
}

// registerInstanceAccess grants workloads their roles on the instance, which is
// where backups are made.
func (p *program) registerInstanceAccess(database *spanner.Database) error {
	for i := range catalog {
		w := &catalog[i]
		for _, role := range w.instanceRoles {
			grant, err := spanner.NewInstanceIAMMember(p.ctx, w.name+"-"+shortRole(role), &spanner.InstanceIAMMemberArgs{
				Project:  pulumi.String(p.cfg.Project),
				Instance: database.Instance,
				Role:     pulumi.String(role),
				Member:   p.member(w.name),
			})
			if err != nil {
				return err
			}
			p.holds(w.name, grant)
		}
	}
	return nil
}
