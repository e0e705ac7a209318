// Package spanner is the local Cloud Spanner: the official emulator, its
// instances and its databases.
//
// The emulator has no IAM, no database roles and no other instance
// configuration than its own; what a program says about them is not applied,
// and statements about roles are skipped with a notice.
package spanner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	database "cloud.google.com/go/spanner/admin/database/apiv1"
	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"
	instance "cloud.google.com/go/spanner/admin/instance/apiv1"
	"cloud.google.com/go/spanner/admin/instance/apiv1/instancepb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"ingestion.internal/ddl"
	"ingestion.internal/shared/spannerlocal"
)

// callTimeout bounds one administrative operation. Schema changes wait for the
// read-write transaction of the database, of which the emulator has only one.
const callTimeout = time.Minute

// Options are those of spannerlocal.Start.
type Options = spannerlocal.Options

// Service is a running Spanner of one project. It is safe for concurrent use.
type Service struct {
	*spannerlocal.Emulator

	project   string
	conn      *grpc.ClientConn
	instances *instance.InstanceAdminClient
	databases *database.DatabaseAdminClient
}

// Start starts the emulator for a project and returns when it answers.
func Start(ctx context.Context, project string, options Options) (*Service, error) {
	emulator, err := spannerlocal.Start(ctx, options)
	if err != nil {
		return nil, err
	}
	s := &Service{Emulator: emulator, project: project}
	if err := s.connect(ctx); err != nil {
		s.Stop()
		return nil, fmt.Errorf("connecting to the Spanner emulator: %w", err)
	}
	return s, nil
}

func (s *Service) connect(ctx context.Context) (err error) {
	s.conn, err = grpc.NewClient("passthrough:///"+s.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	if s.instances, err = instance.NewInstanceAdminClient(ctx, option.WithGRPCConn(s.conn)); err != nil {
		return err
	}
	s.databases, err = database.NewDatabaseAdminClient(ctx, option.WithGRPCConn(s.conn))
	return err
}

// Stop ends the emulator, and with it everything it holds.
func (s *Service) Stop() {
	if s.conn != nil {
		// Nothing is in flight any more; a failing close loses nothing.
		_ = s.conn.Close()
	}
	s.Emulator.Stop()
}

func (s *Service) instanceName(id string) string { return "projects/" + s.project + "/instances/" + id }

func (s *Service) databaseName(inst, id string) string {
	return s.instanceName(inst) + "/databases/" + id
}

// CreateInstance makes an instance with a size in processing units.
func (s *Service) CreateInstance(ctx context.Context, id, displayName string, processingUnits int32, labels map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	op, err := s.instances.CreateInstance(ctx, &instancepb.CreateInstanceRequest{
		Parent: "projects/" + s.project, InstanceId: id,
		Instance: &instancepb.Instance{
			Name: s.instanceName(id), Config: "projects/" + s.project + "/instanceConfigs/emulator-config",
			DisplayName: displayName, ProcessingUnits: processingUnits, Labels: labels,
		},
	})
	if err == nil {
		_, err = op.Wait(ctx)
	}
	if err != nil {
		return fmt.Errorf("creating the Spanner instance %s: %w", id, err)
	}
	return nil
}

// InstanceInfo is what the API tells of an instance.
type InstanceInfo struct {
	DisplayName     string
	ProcessingUnits int32
	Labels          map[string]string
}

// Instance reads an instance; ok=false: there is none.
func (s *Service) Instance(ctx context.Context, id string) (info InstanceInfo, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := s.instances.GetInstance(ctx, &instancepb.GetInstanceRequest{Name: s.instanceName(id)})
	if ok, err = exists(err); !ok {
		return info, false, err
	}
	return InstanceInfo{DisplayName: found.GetDisplayName(), ProcessingUnits: found.GetProcessingUnits(), Labels: found.GetLabels()}, true, nil
}

// DatabaseInfo is what the API tells of a database: not its schema.
type DatabaseInfo struct {
	Dialect          string // GOOGLE_STANDARD_SQL or POSTGRESQL
	VersionRetention string // such as 1h; "" if the API says nothing
	DropProtection   bool
}

// Database reads a database; ok=false: there is none.
func (s *Service) Database(ctx context.Context, inst, id string) (info DatabaseInfo, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := s.databases.GetDatabase(ctx, &databasepb.GetDatabaseRequest{Name: s.databaseName(inst, id)})
	if ok, err = exists(err); !ok {
		return info, false, err
	}
	info = DatabaseInfo{Dialect: "GOOGLE_STANDARD_SQL", VersionRetention: found.GetVersionRetentionPeriod(), DropProtection: found.GetEnableDropProtection()}
	if found.GetDatabaseDialect() == databasepb.DatabaseDialect_POSTGRESQL {
		info.Dialect = "POSTGRESQL"
	}
	return info, true, nil
}

// HasInstance tells whether an instance exists.
func (s *Service) HasInstance(ctx context.Context, id string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := s.instances.GetInstance(ctx, &instancepb.GetInstanceRequest{Name: s.instanceName(id)})
	return exists(err)
}

// DeleteInstance removes an instance and its databases. One that is gone is no
// error.
func (s *Service) DeleteInstance(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := s.instances.DeleteInstance(ctx, &instancepb.DeleteInstanceRequest{Name: s.instanceName(id)})
	if _, err := exists(err); err != nil {
		return fmt.Errorf("deleting the Spanner instance %s: %w", id, err)
	}
	return nil
}

// CreateDatabase makes a database with these statements, and returns those
// that were skipped because the emulator has no database roles.
func (s *Service) CreateDatabase(ctx context.Context, inst, id string, postgres bool, ddl []string) (skipped []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	apply, skipped := Supported(ddl)
	create, dialect := "CREATE DATABASE `"+id+"`", databasepb.DatabaseDialect_GOOGLE_STANDARD_SQL
	if postgres {
		create, dialect = `CREATE DATABASE "`+id+`"`, databasepb.DatabaseDialect_POSTGRESQL
	}
	op, err := s.databases.CreateDatabase(ctx, &databasepb.CreateDatabaseRequest{
		Parent: s.instanceName(inst), CreateStatement: create, ExtraStatements: apply, DatabaseDialect: dialect,
	})
	if err == nil {
		_, err = op.Wait(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("creating the Spanner database %s: %w", id, err)
	}
	return skipped, nil
}

// ApplyDDL applies further statements to a database, as CreateDatabase does.
func (s *Service) ApplyDDL(ctx context.Context, inst, id string, ddl []string) (skipped []string, err error) {
	apply, skipped := Supported(ddl)
	if len(apply) == 0 {
		return skipped, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	op, err := s.databases.UpdateDatabaseDdl(ctx, &databasepb.UpdateDatabaseDdlRequest{
		Database: s.databaseName(inst, id), Statements: apply,
	})
	if err == nil {
		err = op.Wait(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("changing the schema of the Spanner database %s: %w", id, err)
	}
	return skipped, nil
}

// HasDatabase tells whether a database exists.
func (s *Service) HasDatabase(ctx context.Context, inst, id string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := s.databases.GetDatabase(ctx, &databasepb.GetDatabaseRequest{Name: s.databaseName(inst, id)})
	return exists(err)
}

// DropDatabase removes a database. One that is gone is no error.
func (s *Service) DropDatabase(ctx context.Context, inst, id string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := s.databases.DropDatabase(ctx, &databasepb.DropDatabaseRequest{Database: s.databaseName(inst, id)})
	if _, err := exists(err); err != nil {
		return fmt.Errorf("dropping the Spanner database %s: %w", id, err)
	}
	return nil
}

// exists reads "there is none" from an error.
func exists(err error) (bool, error) {
	if status.Code(errors.Unwrap(err)) == codes.NotFound || status.Code(err) == codes.NotFound {
		return false, nil
	}
	return err == nil, err
}

// Supported parts statements into those that the emulator knows and those
// about database roles, which it does not.
func Supported(statements []string) (apply, skipped []string) {
	for _, statement := range statements {
		if ddl.AccessControl(statement) {
			skipped = append(skipped, statement)
		} else {
			apply = append(apply, statement)
		}
	}
	return apply, skipped
}

// Notice says in one line which statements were skipped, or "".
func Notice(skipped []string) string {
	if len(skipped) == 0 {
		return ""
	}
	var kinds []string
	for _, statement := range skipped {
		words := strings.Fields(statement)
		kind := strings.ToUpper(words[0])
		if len(words) > 1 && kind != "GRANT" && kind != "REVOKE" {
			kind += " " + strings.ToUpper(words[1])
		}
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	return fmt.Sprintf("skipped %d statements about database roles (%s): the Spanner emulator has none", len(skipped), strings.Join(kinds, ", "))
}
