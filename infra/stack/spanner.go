package stack

import (
	"errors"
	"fmt"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/spanner"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ingestion.internal/ddl"
	"ingestion.internal/shared/topology"
)

// registerDatabase makes the database with its schema, in an instance that is
// made or, by config, exists.
//
// The provider compares the list of statements string by string: more of them
// update the database, anything else replaces it, that is, deletes it. So the
// list only grows (package ddl sees to that), and three locks guard a stack
// that is not disposable: Spanner's drop protection, the provider's deletion
// protection and Pulumi's own.
func (p *program) registerDatabase() error {
	c := p.cfg.Spanner
	instance := pulumi.StringInput(pulumi.String(c.Instance))
	if c.CreateInstance {
		args := &spanner.InstanceArgs{
			Project:      pulumi.String(p.cfg.Project),
			Name:         pulumi.String(c.Instance),
			Config:       pulumi.String(c.InstanceConfig),
			DisplayName:  pulumi.String("Ingestion " + p.cfg.Stack),
			ForceDestroy: pulumi.Bool(false),
			Labels:       p.labels("database"),
		}
		if a := c.Autoscaling; a != nil {
			args.AutoscalingConfig = &spanner.InstanceAutoscalingConfigArgs{
				AutoscalingLimits: &spanner.InstanceAutoscalingConfigAutoscalingLimitsArgs{
					MinProcessingUnits: pulumi.Int(a.MinProcessingUnits),
					MaxProcessingUnits: pulumi.Int(a.MaxProcessingUnits),
				},
				AutoscalingTargets: &spanner.InstanceAutoscalingConfigAutoscalingTargetsArgs{
					HighPriorityCpuUtilizationPercent: pulumi.Int(a.CPUPercent),
					StorageUtilizationPercent:         pulumi.Int(a.StoragePercent),
				},
			}
		} else {
			args.ProcessingUnits = pulumi.Int(c.ProcessingUnits)
		}
		made, err := spanner.NewInstance(p.ctx, "spanner", args, p.needs(apiSpanner), pulumi.Protect(p.cfg.Protect))
		if err != nil {
			return err
		}
		p.instance, instance = made, made.Name
	}

	args := &spanner.DatabaseArgs{
		Project:                pulumi.String(p.cfg.Project),
		Instance:               instance,
		Name:                   pulumi.String(c.Database),
		DatabaseDialect:        pulumi.String("GOOGLE_STANDARD_SQL"),
		Ddls:                   pulumi.ToStringArray(ddl.Statements()),
		VersionRetentionPeriod: pulumi.String(fmt.Sprintf("%dd", c.VersionDays)),
		EnableDropProtection:   pulumi.Bool(p.cfg.Protect),
		DeletionProtection:     pulumi.Bool(p.cfg.Protect),
	}
	if e, ok := p.keys[spannerKey]; ok {
		args.EncryptionConfig = &spanner.DatabaseEncryptionConfigArgs{KmsKeyName: e.key.ID()}
	}
	database, err := spanner.NewDatabase(p.ctx, "database", args, p.needs(apiSpanner), p.afterKey(spannerKey), pulumi.Protect(p.cfg.Protect))
	if err != nil {
		return err
	}
	p.database = database

	for i := range catalog {
		if err := p.registerDatabaseAccess(&catalog[i], database); err != nil {
			return err
		}
	}
	return p.registerInstanceAccess(database)
}

// databaseRole is the role of the database that a workload takes on, "" if it
// has the privileges of its account.
func (c *Config) databaseRole(w *workload) string {
	if !c.Spanner.DatabaseRoles || w.noTables {
		return ""
	}
	return topology.DatabaseRole(w.name)
}

// registerDatabaseAccess lets a workload use the database: as its role, which
// says what it may read and write, or all of it.
//
// https://cloud.google.com/spanner/docs/configure-fgac: the first role admits
// to fine-grained access, the second, by its condition, to one database role.
func (p *program) registerDatabaseAccess(w *workload, database *spanner.Database) error {
	if w.noTables {
		return nil
	}
	grant := func(name, role string, condition *spanner.DatabaseIAMMemberConditionArgs) error {
		args := &spanner.DatabaseIAMMemberArgs{
			Project:  pulumi.String(p.cfg.Project),
			Instance: database.Instance,
			Database: database.Name,
			Role:     pulumi.String(role),
			Member:   p.member(w.name),
		}
		if condition != nil {
			args.Condition = condition
		}
		made, err := spanner.NewDatabaseIAMMember(p.ctx, w.name+"-"+name, args)
		if err != nil {
			return err
		}
		p.holds(w.name, made)
		return nil
	}
	role := p.cfg.databaseRole(w)
	if role == "" {
		return grant("database-user", "roles/spanner.databaseUser", nil)
	}
	return errors.Join(
		grant("fine-grained-access", "roles/spanner.fineGrainedAccessUser", nil),
		grant("database-role", "roles/spanner.databaseRoleUser", &spanner.DatabaseIAMMemberConditionArgs{
			Title:       pulumi.String("Role " + role),
			Description: pulumi.String("Only the database role of " + w.name),
			Expression: pulumi.String(fmt.Sprintf(
				`resource.type == "spanner.googleapis.com/DatabaseRole" && resource.name.endsWith("/databaseRoles/%s")`, role)),
		}),
	)
}
