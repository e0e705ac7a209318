// Package storetest gives tests a database with the platform's whole schema on
// the real Spanner emulator.
package storetest

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"ingestion.internal/ddl"
	"ingestion.internal/shared/spannertest"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/tenant"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/workflow"
)

// The ids of the two tenants of Manifest.
const (
	Acme = "acme"
	Bolt = "bolt"
)

// Config makes a database for tb and says where it is.
func Config(tb testing.TB) store.Config {
	tb.Helper()
	return ConfigOf(spannertest.New(tb, ddl.Statements()))
}

// ConfigOf says where the database of this full name is.
func ConfigOf(name string) store.Config {
	parts := strings.Split(name, "/")
	return store.Config{Project: parts[1], Instance: parts[3], Database: parts[5], CacheTTL: time.Minute, Emulator: os.Getenv("SPANNER_EMULATOR_HOST")}
}

// Open makes a database that holds Manifest's tenants and opens it for tb.
func Open(tb testing.TB, opts ...store.Option) *store.DB {
	tb.Helper()
	db, _ := OpenConfig(tb, opts...)
	return db
}

// OpenConfig is Open for tests that also tell others where the database is.
func OpenConfig(tb testing.TB, opts ...store.Option) (*store.DB, store.Config) {
	tb.Helper()
	cfg := Config(tb)
	db, err := store.Open(tb.Context(), cfg, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	for _, t := range Manifest().Tenants {
		if _, err := db.Tenant(t.ID).Sync(tb.Context(), t); err != nil {
			tb.Fatal(err)
		}
	}
	return db, cfg
}

// ActiveTenants returns the ids of the active tenants, in order.
func ActiveTenants(tb testing.TB, db *store.DB) []string {
	tb.Helper()
	all, err := db.Directory().Tenants(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	var active []string
	for _, t := range all {
		if t.Status == tenant.Active {
			active = append(active, t.ID)
		}
	}
	return active
}

// Manifest declares two tenants. The first has two offices, of which the
// second has no signing key of its own.
func Manifest() tenant.Manifest {
	return tenant.Manifest{Tenants: []tenant.Tenant{
		{ID: Acme, Name: "Acme Kitchens", State: tenant.Active, Offices: []tenant.Office{
			{
				ID: "north", Name: "North", CallRailAccountID: "ACC1", CallRailCompanyID: "1001", CallRailCompanyResourceID: "COM1001",
				CallRailAPIKeySecret: "callrail-api-key-acme", CallRailSigningKeySecret: "callrail-signing-key-acme", Workflow: workflow.Default(),
			},
			{ID: "south", Name: "South", CallRailCompanyID: "1002", Workflow: workflow.Default()},
		}},
		{ID: Bolt, Name: "Bolt Roofing", State: tenant.Active, Offices: []tenant.Office{
			{
				ID: "main", Name: "Main", CallRailCompanyID: "2001", CallRailAPIKeySecret: "callrail-api-key-bolt",
				CallRailSigningKeySecret: "callrail-signing-key-bolt", Workflow: workflow.Default(),
			},
		}},
	}}
}

// Accept records a request that one event makes whole, as the handler of forms
// does. See [store.Tenant.Record] for the errors.
func Accept(ctx context.Context, t *store.Tenant, request store.Request, first topology.Stage) (store.Acceptance, error) {
	event, fold := store.Whole(request, first)
	return t.Record(ctx, request.RequestID, event, fold)
}
