package store_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"cloud.google.com/go/spanner"

	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/tenant"
	"ingestion.internal/shared/topology"
)

// TestDocumentedDeletion runs the statements of docs/tenants.md: they leave no
// row of the tenant in any table, and touch no other's. Of a tenant that is
// still served, its own row stays.
func TestDocumentedDeletion(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/tenants.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```sql\n(.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatal("docs/tenants.md shows no statements")
	}
	var statements []string
	for part := range strings.SplitSeq(string(block[1]), ";") {
		if part = strings.TrimSpace(part); part != "" {
			statements = append(statements, strings.ReplaceAll(part, "acme-remodeling", storetest.Acme))
		}
	}

	db, cfg := storetest.OpenConfig(t)
	for _, id := range []string{storetest.Acme, storetest.Bolt} {
		request := accept(t, db, id, "CAL1")
		enquiry(t, db, id, "form", "310 555 0142", "")
		c := claim(t, db.Tenant(id), request, topology.AudioProcessing, store.Claimed)
		recording := &store.Recording{RecordingID: store.RecordingID(id, "CAL1"), CallID: "CAL1"}
		if _, err := db.Tenant(id).Finish(t.Context(), c, store.Outcome{Recording: recording, Next: topology.AIAnalysis}); err != nil {
			t.Fatal(err)
		}
	}
	client, err := spanner.NewClient(t.Context(), cfg.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	count := func(tenantID string) map[string]int64 {
		t.Helper()
		tables := map[string]int64{}
		if err := client.Single().Query(t.Context(), spanner.NewStatement(
			`SELECT table_name FROM information_schema.columns WHERE table_schema = '' AND column_name = 'tenant_id'`)).
			Do(func(row *spanner.Row) error {
				var table string
				err := row.Columns(&table)
				tables[table] = 0
				return err
			}); err != nil {
			t.Fatal(err)
		}
		for table := range tables {
			stmt := spanner.Statement{SQL: fmt.Sprintf("SELECT COUNT(*) FROM `%s` WHERE tenant_id = @t", table), Params: map[string]any{"t": tenantID}}
			if err := client.Single().Query(t.Context(), stmt).Do(func(row *spanner.Row) error {
				var n int64
				err := row.Columns(&n)
				tables[table] = n
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		return tables
	}
	run := func() {
		t.Helper()
		for _, statement := range statements {
			if _, err := client.PartitionedUpdate(t.Context(), spanner.NewStatement(statement)); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}

	before := count(storetest.Bolt)
	for _, table := range []string{"tenants", "offices", "requests", "request_stages", "call_recordings", "webhook_events", "request_contacts"} {
		if n := count(storetest.Acme)[table]; n == 0 {
			t.Errorf("the test needs a row in %s", table)
		}
	}
	run()
	if n := count(storetest.Acme)["tenants"]; n != 1 {
		t.Errorf("%d rows in tenants of an active tenant, want that it stays", n)
	}
	for _, declared := range storetest.Manifest().Tenants {
		if declared.ID == storetest.Acme {
			declared.State = tenant.Offboarded
			if _, err := db.Tenant(storetest.Acme).Sync(t.Context(), declared); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := db.Tenant(storetest.Acme).Deactivate(t.Context()); err != nil {
		t.Fatal(err)
	}
	run()
	for table, n := range count(storetest.Acme) {
		if n != 0 {
			t.Errorf("%d rows are left in %s", n, table)
		}
	}
	for table, n := range count(storetest.Bolt) {
		if n != before[table] {
			t.Errorf("%d rows of another tenant in %s, want %d", n, table, before[table])
		}
	}
}
