package provider

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"ingestion.internal/local/cloud/spanner"
)

var (
	instanceID = regexp.MustCompile(`^[a-z][-a-z0-9]{0,62}[a-z0-9]$`)
	databaseID = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,28}[a-z0-9]$`)
	retention  = regexp.MustCompile(`^[1-9][0-9]*[dhms]$`)
)

// spannerKinds are Spanner's resources, in the emulator.
func spannerKinds(db *spanner.Service, notice func(string)) []Kind {
	units := func(in Object) int32 {
		switch {
		case number(in, "processingUnits") > 0:
			return int32(number(in, "processingUnits"))
		case number(in, "numNodes") > 0:
			return int32(number(in, "numNodes")) * 1000
		}
		return 1000 // an autoscaled one; the emulator does not care
	}
	instance := Kind{
		Type: "gcp:spanner/instance:Instance", Mode: Live,
		Required: []string{"config", "displayName"},
		Replace:  []string{"config", "name", "project"},
		Normalize: func(env Env, urn string, in Object) {
			inProject(env, urn, in)
			setDefault(in, "name", autoName(urn))
			in["config"] = base(str(in, "config")) // the provider's form
			if in["config"] == "" {
				delete(in, "config")
			}
			setDefault(in, "forceDestroy", false)
		},
		Validate: func(in Object, unknown map[string]bool) []Failure {
			failures := append(validateLabels(in),
				match(in, "name", instanceID, "2 to 64 lower-case letters, digits and hyphens, beginning with a letter and not ending with a hyphen")...)
			if name := str(in, "displayName"); name != "" && (len(name) < 4 || len(name) > 30) {
				failures = append(failures, Failure{"displayName", fmt.Sprintf("%q is not 4 to 30 characters long", name)})
			}
			sizes := 0
			for _, name := range []string{"autoscalingConfig", "numNodes", "processingUnits"} {
				if in[name] != nil || unknown[name] {
					sizes++
				}
			}
			if sizes != 1 {
				failures = append(failures, Failure{"processingUnits", "exactly one of autoscalingConfig, numNodes and processingUnits is given"})
			}
			if n := int(number(in, "processingUnits")); in["processingUnits"] != nil && (n < 100 || n < 1000 && n%100 != 0 || n > 1000 && n%1000 != 0) {
				failures = append(failures, Failure{"processingUnits", fmt.Sprintf("%d is neither a multiple of 100 up to 1000 nor a multiple of 1000", n)})
			}
			return failures
		},
		ID:      func(in Object) string { return str(in, "project") + "/" + str(in, "name") },
		Outputs: func(in Object) Object { return withLabels(in, Object{"state": "READY"}) },
		Delete: func(ctx context.Context, id string, _ Object) error {
			return db.DeleteInstance(ctx, base(id))
		},
		Read: func(ctx context.Context, id string, old Object) (Object, bool, error) {
			ok, err := db.HasInstance(ctx, base(id))
			return old, ok, err
		},
	}
	instance.Create = func(ctx context.Context, in Object) (string, Object, error) {
		if err := db.CreateInstance(ctx, str(in, "name"), str(in, "displayName"), units(in), stringMap(in, "labels")); err != nil {
			return "", nil, err
		}
		return instance.ID(in), instance.record(in), nil
	}

	instance.Import = func(ctx context.Context, env Env, id string) (string, Object, bool, error) {
		parts, err := importID(env, id, "instances")
		if err != nil {
			return "", nil, false, err
		}
		found, ok, err := db.Instance(ctx, parts[1])
		if err != nil || !ok {
			return "", nil, false, err
		}
		in := Object{
			"project": parts[0], "name": parts[1], "displayName": found.DisplayName, "forceDestroy": false,
			// The emulator has one configuration of its own; it stands for the
			// region's.
			"config":          "regional-" + env.Region,
			"processingUnits": float64(found.ProcessingUnits),
		}
		if len(found.Labels) > 0 {
			labels := Object{}
			for k, v := range found.Labels {
				labels[k] = v
			}
			in["labels"] = labels
		}
		return instance.ID(in), in, true, nil
	}

	database := Kind{
		Type: "gcp:spanner/database:Database", Mode: Live,
		Required: []string{"instance"},
		Replace:  []string{"databaseDialect", "encryptionConfig", "instance", "name", "project"},
		// Statements can be appended to a database. Any other change of the
		// list makes another database, as in the real provider.
		ReplaceIf: func(old, in Object) []string {
			was, is := stringList(old, "ddls"), stringList(in, "ddls")
			if len(is) < len(was) || !slices.Equal(was, is[:len(was)]) {
				return []string{"ddls"}
			}
			return nil
		},
		Normalize: func(env Env, urn string, in Object) {
			inProject(env, urn, in)
			setDefault(in, "name", autoName(urn))
			setDefault(in, "databaseDialect", "GOOGLE_STANDARD_SQL")
			setDefault(in, "deletionProtection", true)
		},
		Validate: func(in Object, _ map[string]bool) []Failure {
			failures := match(in, "name", databaseID, "2 to 30 lower-case letters, digits, hyphens and underscores, beginning with a letter and ending with a letter or digit")
			failures = append(failures, oneOf(in, "databaseDialect", "GOOGLE_STANDARD_SQL", "POSTGRESQL")...)
			return append(failures, match(in, "versionRetentionPeriod", retention, "a number of d, h, m or s, such as 7d")...)
		},
		ID:      func(in Object) string { return base(str(in, "instance")) + "/" + str(in, "name") },
		Outputs: func(Object) Object { return Object{"state": "READY"} },
		Read: func(ctx context.Context, id string, old Object) (Object, bool, error) {
			inst, name, _ := strings.Cut(id, "/")
			ok, err := db.HasDatabase(ctx, inst, name)
			return old, ok, err
		},
		Delete: func(ctx context.Context, id string, old Object) error {
			for _, guard := range []string{"deletionProtection", "enableDropProtection"} {
				if boolean(old, guard) {
					return fmt.Errorf("cannot delete the database %s while its %s is true: set it to false and update first", id, guard)
				}
			}
			inst, name, _ := strings.Cut(id, "/")
			return db.DropDatabase(ctx, inst, name)
		},
	}
	keepVersions := func(in Object) []string {
		period := str(in, "versionRetentionPeriod")
		if period == "" {
			return nil
		}
		return []string{fmt.Sprintf("ALTER DATABASE `%s` SET OPTIONS (version_retention_period = '%s')", str(in, "name"), period)}
	}
	tell := func(in Object, skipped []string) {
		if text := spanner.Notice(skipped); text != "" {
			notice("Spanner database " + str(in, "name") + ": " + text)
		}
	}
	// Import answers what the real provider reads: everything but ddls, which it
	// takes from the state (hashicorp/terraform-provider-google,
	// resource_spanner_database.go, read on 2026-11-25). So the first update
	// applies every statement of the program.
	database.Import = func(ctx context.Context, env Env, id string) (string, Object, bool, error) {
		parts, err := importID(env, id, "instances", "databases")
		if err != nil {
			return "", nil, false, err
		}
		found, ok, err := db.Database(ctx, parts[1], parts[2])
		if err != nil || !ok {
			return "", nil, false, err
		}
		in := Object{
			"project": parts[0], "instance": parts[1], "name": parts[2],
			"databaseDialect": found.Dialect, "enableDropProtection": found.DropProtection, "deletionProtection": true,
		}
		if found.VersionRetention != "" {
			in["versionRetentionPeriod"] = found.VersionRetention
		}
		return database.ID(in), in, true, nil
	}
	database.Create = func(ctx context.Context, in Object) (string, Object, error) {
		statements := append(stringList(in, "ddls"), keepVersions(in)...)
		skipped, err := db.CreateDatabase(ctx, base(str(in, "instance")), str(in, "name"), str(in, "databaseDialect") == "POSTGRESQL", statements)
		if err != nil {
			return "", nil, err
		}
		tell(in, skipped)
		return database.ID(in), database.record(in), nil
	}
	database.Update = func(ctx context.Context, _ string, old, in Object) (Object, error) {
		was, is := stringList(old, "ddls"), stringList(in, "ddls")
		if len(is) < len(was) || !slices.Equal(was, is[:len(was)]) {
			return nil, fmt.Errorf("the statements of the database %s can only be appended to", str(in, "name"))
		}
		statements := is[len(was):]
		if str(old, "versionRetentionPeriod") != str(in, "versionRetentionPeriod") {
			statements = append(slices.Clip(statements), keepVersions(in)...)
		}
		skipped, err := db.ApplyDDL(ctx, base(str(in, "instance")), str(in, "name"), statements)
		if err != nil {
			return nil, err
		}
		tell(in, skipped)
		return database.record(in), nil
	}
	return []Kind{instance, database}
}

// importID takes an id for import apart: projects/P/instances/I/databases/D,
// the same without the project, P/I/D and I/D, as the provider does. The first
// part of the answer is the project.
func importID(env Env, id string, collections ...string) ([]string, error) {
	names := strings.Split(id, "/")
	var parts []string
	switch n := len(collections); {
	case len(names) == 2*n+2 && names[0] == "projects", len(names) == 2*n && names[0] == collections[0]:
		if len(names) == 2*n {
			names = append([]string{"projects", env.Project}, names...)
		}
		for i, collection := range append([]string{"projects"}, collections...) {
			if names[2*i] != collection {
				return nil, fmt.Errorf("%q is no id of a resource in %s", id, strings.Join(collections, "/"))
			}
			parts = append(parts, names[2*i+1])
		}
	case len(names) == n+1:
		parts = names
	case len(names) == n:
		parts = append([]string{env.Project}, names...)
	default:
		return nil, fmt.Errorf("%q is no id of a resource in %s", id, strings.Join(collections, "/"))
	}
	if parts[0] != env.Project {
		return nil, fmt.Errorf("%q is in the project %s; the local cloud is %s", id, parts[0], env.Project)
	}
	return parts, nil
}
