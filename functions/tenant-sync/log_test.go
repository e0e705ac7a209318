package main

import (
	"testing"

	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/telemetry/telemetrytest"
	"ingestion.internal/shared/tenant"
	"ingestion.internal/shared/topology"
)

// TestLog keeps what a sync logs that goes well, and one of a tenant that the
// database refuses.
func TestLog(t *testing.T) {
	log := telemetrytest.Capture(t, topology.TenantSync)
	db := storetest.Open(t)
	if err := sync(t.Context(), db, storetest.Manifest()); err != nil {
		t.Fatal(err)
	}
	broken := storetest.Manifest()
	broken.Tenants = append(broken.Tenants, tenant.Tenant{ID: "an-id-that-is-longer-than-its-column-can-hold", Name: "X", State: "active"})
	if err := sync(t.Context(), db, broken); err == nil {
		t.Error("no error from a tenant that cannot be written")
	}
	log.Golden()
}
