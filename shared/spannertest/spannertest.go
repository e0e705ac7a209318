// Package spannertest gives tests a database of the real Spanner emulator. It
// starts one emulator for a test process, which ends with that process. A test
// fails, and never skips, if there is no emulator on the machine.
package spannertest

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	database "cloud.google.com/go/spanner/admin/database/apiv1"
	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"
	instance "cloud.google.com/go/spanner/admin/instance/apiv1"
	"cloud.google.com/go/spanner/admin/instance/apiv1/instancepb"

	"ingestion.internal/ddl"
	"ingestion.internal/shared/spannerlocal"
)

const parent = "projects/test-project/instances/test"

var (
	start = sync.OnceValues(startEmulator)
	count atomic.Int64
)

// New creates a database of its own for tb with these statements, drops it when
// tb ends, and returns its full name. Statements of access control, which the
// emulator does not know, are left out. It sets SPANNER_EMULATOR_HOST for
// the whole process, so that spanner.NewClient(ctx, name) reaches it; tests
// that use it may run in parallel.
func New(tb testing.TB, statements []string) string {
	tb.Helper()
	if _, err := start(); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	admin, err := database.NewDatabaseAdminClient(ctx)
	if err != nil {
		tb.Fatalf("connecting to the Spanner emulator: %v", err)
	}
	id := fmt.Sprintf("test-%d", count.Add(1))
	op, err := admin.CreateDatabase(ctx, &databasepb.CreateDatabaseRequest{
		Parent:          parent,
		CreateStatement: "CREATE DATABASE `" + id + "`",
		ExtraStatements: slices.DeleteFunc(slices.Clone(statements), ddl.AccessControl),
	})
	if err == nil {
		_, err = op.Wait(ctx)
	}
	if err != nil {
		admin.Close()
		tb.Fatalf("creating a test database: %v", err)
	}
	name := parent + "/databases/" + id
	tb.Cleanup(func() {
		defer admin.Close()
		// The test's own context has ended by now.
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := admin.DropDatabase(ctx, &databasepb.DropDatabaseRequest{Database: name}); err != nil {
			tb.Errorf("dropping the test database %s: %v", name, err)
		}
	})
	return name
}

// Emulator returns the emulator of this test process, for tests that take it
// away for a while. It is started if need be.
func Emulator(tb testing.TB) *spannerlocal.Emulator {
	tb.Helper()
	e, err := start()
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// startEmulator starts the emulator and makes the one instance that all test
// databases live in.
func startEmulator() (*spannerlocal.Emulator, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	e, err := spannerlocal.Start(ctx, spannerlocal.Options{})
	if err != nil {
		return nil, err
	}
	if err := os.Setenv("SPANNER_EMULATOR_HOST", e.Addr()); err != nil {
		return nil, err
	}
	admin, err := instance.NewInstanceAdminClient(ctx)
	if err != nil {
		return nil, fmt.Errorf("connecting to the Spanner emulator: %w", err)
	}
	defer admin.Close()
	op, err := admin.CreateInstance(ctx, &instancepb.CreateInstanceRequest{
		Parent: "projects/test-project", InstanceId: "test",
		Instance: &instancepb.Instance{
			Config: "projects/test-project/instanceConfigs/emulator-config", DisplayName: "test", NodeCount: 1,
		},
	})
	if err == nil {
		_, err = op.Wait(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("creating the test instance: %w", err)
	}
	return e, nil
}
