package provider

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"cloud.google.com/go/spanner"
	"github.com/google/go-cmp/cmp"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"ingestion.internal/ddl"
)

// shapes are databases as somebody could have made them by hand before the
// platform: the owner's description names their tables and some columns, and
// not how they were made.
var shapes = map[string][]string{
	"nothing but keys": {
		`CREATE TABLE tenants (tenant_id STRING(36) NOT NULL) PRIMARY KEY (tenant_id)`,
		`CREATE TABLE offices (tenant_id STRING(36) NOT NULL, office_id STRING(36) NOT NULL) PRIMARY KEY (tenant_id, office_id)`,
		`CREATE TABLE requests (tenant_id STRING(36) NOT NULL, request_id STRING(36) NOT NULL) PRIMARY KEY (tenant_id, request_id)`,
	},
	"interleaved, with columns of its own": {
		`CREATE TABLE tenants (tenant_id STRING(36) NOT NULL, name STRING(255) NOT NULL, plan STRING(20), created_at TIMESTAMP) PRIMARY KEY (tenant_id)`,
		`CREATE TABLE offices (tenant_id STRING(36) NOT NULL, office_id STRING(36) NOT NULL, name STRING(255), city STRING(50)) PRIMARY KEY (tenant_id, office_id), INTERLEAVE IN PARENT tenants ON DELETE CASCADE`,
		`CREATE TABLE requests (tenant_id STRING(36) NOT NULL, request_id STRING(36) NOT NULL, source STRING(50), status STRING(20), created_at TIMESTAMP OPTIONS (allow_commit_timestamp = true)) PRIMARY KEY (tenant_id, request_id), INTERLEAVE IN PARENT tenants ON DELETE CASCADE`,
		`CREATE INDEX requests_by_source ON requests (tenant_id, source)`,
	},
	"the owner's update half done": {
		`CREATE TABLE tenants (tenant_id STRING(36) NOT NULL, status STRING(20) NOT NULL DEFAULT ('active')) PRIMARY KEY (tenant_id)`,
		`CREATE TABLE offices (tenant_id STRING(36) NOT NULL, office_id STRING(36) NOT NULL, callrail_company_id STRING(50), callrail_api_key STRING(100), workflow_config JSON) PRIMARY KEY (tenant_id, office_id)`,
		`CREATE INDEX idx_offices_callrail ON offices (callrail_company_id, tenant_id)`,
		`CREATE TABLE requests (tenant_id STRING(36) NOT NULL, request_id STRING(36) NOT NULL, call_id STRING(50), recording_url STRING(500), transcription_data JSON, lead_score INT64) PRIMARY KEY (tenant_id, request_id)`,
		`CREATE INDEX idx_requests_call_id ON requests (call_id)`,
	},
	"without tables": nil,
}

// TestAdoption: a database made by hand is imported, the first update applies
// every statement, its rows are there and it has every column; the next diff is
// empty.
func TestAdoption(t *testing.T) {
	for name, base := range shapes {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			ctx := t.Context()
			if err := h.core.Spanner.CreateInstance(ctx, "upai", "by hand", 1000, map[string]string{"by": "hand"}); err != nil {
				t.Fatal(err)
			}
			if _, err := h.core.Spanner.CreateDatabase(ctx, "upai", "agent_platform", false, base); err != nil {
				t.Fatal(err)
			}
			client, err := spanner.NewClientWithConfig(ctx, "projects/p-123/instances/upai/databases/agent_platform", spanner.ClientConfig{DisableNativeMetrics: true},
				option.WithEndpoint(h.core.Spanner.Addr()), option.WithoutAuthentication(), option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			tables := []string{"tenants", "offices", "requests"}
			if base != nil {
				var rows []*spanner.Mutation
				for i, columns := range [][]string{{"tenant_id"}, {"tenant_id", "office_id"}, {"tenant_id", "request_id"}} {
					for n := range 3 {
						values := []any{"old", fmt.Sprint("id", n)}[:len(columns)]
						if i == 0 {
							values = []any{[]string{"old", "older", "oldest"}[n]}
						}
						in, with := columns, values
						if i == 0 && strings.Contains(base[0], "name STRING(255) NOT NULL") {
							in, with = append(slices.Clone(columns), "name"), append(slices.Clone(values), "By Hand")
						}
						rows = append(rows, spanner.Insert(tables[i], in, with))
					}
				}
				if _, err := client.Apply(ctx, rows); err != nil {
					t.Fatal(err)
				}
			}

			read := func(typ, id string) *pulumirpc.ReadResponse {
				t.Helper()
				resp, err := h.rpc.Read(ctx, &pulumirpc.ReadRequest{Urn: urn(typ), Id: id})
				if err != nil {
					t.Fatal(err)
				}
				return resp
			}
			found := read(databaseType, "projects/p-123/instances/upai/databases/agent_platform")
			if found.GetId() != "upai/agent_platform" || found.GetInputs().AsMap()["ddls"] != nil {
				t.Errorf("imported as %s with %v, want no statements: the API does not tell them", found.GetId(), found.GetInputs())
			}
			var statements []any
			for _, s := range ddl.Statements() {
				statements = append(statements, s)
			}
			want, failures := h.check(databaseType, Object{
				"instance": "upai", "name": "agent_platform", "databaseDialect": "GOOGLE_STANDARD_SQL", "ddls": statements,
				"versionRetentionPeriod": "7d", "enableDropProtection": true, "deletionProtection": true,
			})
			if len(failures) > 0 {
				t.Fatal(failures)
			}
			diff := h.diff(databaseType, found.GetInputs().AsMap(), want)
			slices.Sort(diff.Diffs)
			if len(diff.GetReplaces()) > 0 || !cmp.Equal(diff.GetDiffs(), []string{"ddls", "enableDropProtection", "versionRetentionPeriod"}) {
				t.Errorf("the program changes %v and replaces for %v", diff.GetDiffs(), diff.GetReplaces())
			}
			out, err := h.update(databaseType, found.GetId(), found.GetProperties().AsMap(), found.GetInputs().AsMap(), want, false)
			if err != nil {
				t.Fatal(err)
			}
			if again := h.diff(databaseType, want, want); again.GetChanges() != pulumirpc.DiffResponse_DIFF_NONE {
				t.Errorf("a second update changes %v", again.GetDiffs())
			}
			if n := len(out["ddls"].([]any)); n != len(statements) {
				t.Errorf("%d statements in the state, want %d", n, len(statements))
			}

			wantRows := int64(0)
			if base != nil {
				wantRows = 3
			}
			for _, table := range tables {
				if err := client.Single().Query(ctx, spanner.NewStatement("SELECT COUNT(*) FROM "+table)).Do(func(row *spanner.Row) error {
					var n int64
					if err := row.Columns(&n); err != nil {
						return err
					}
					if n != wantRows {
						t.Errorf("%d rows in %s, want %d", n, table, wantRows)
					}
					return nil
				}); err != nil {
					t.Error(err)
				}
			}
			// What the platform's code reads and writes is there.
			for _, query := range []string{
				"SELECT tenant_id, name, status, created_at FROM tenants",
				"SELECT office_id, callrail_company_resource_id, callrail_signing_key, workflow_config FROM offices",
				"SELECT request_id, payload, transcription_data, lead_score, decision_reasons, updated_at FROM requests",
				"SELECT stage, state, sweep_after, sweep_shard FROM request_stages",
				"SELECT recording_id, storage_url FROM call_recordings",
				"SELECT event_id, processing_status FROM webhook_events",
			} {
				if err := client.Single().Query(ctx, spanner.NewStatement(query)).Do(func(*spanner.Row) error { return nil }); err != nil {
					t.Errorf("%s: %v", query, err)
				}
			}

			instance := read(instanceType, "upai").GetInputs().AsMap()
			if instance["config"] != "regional-us-central1" || instance["displayName"] != "by hand" || instance["processingUnits"] != 1000.0 {
				t.Errorf("imported instance: %v", instance)
			}
			if gone := read(databaseType, "upai/other"); gone.GetId() != "" {
				t.Errorf("a database that is not there was imported as %s", gone.GetId())
			}
		})
	}
}

// obstacles are shapes that cannot be adopted as they are, with what Spanner
// says and what removes the obstacle: docs/adopt.md names them.
var obstacles = map[string]struct{ base, says, remedy string }{
	"a default where the platform writes commit timestamps": {
		base:   `CREATE TABLE tenants (tenant_id STRING(36) NOT NULL, created_at TIMESTAMP NOT NULL DEFAULT (CURRENT_TIMESTAMP())) PRIMARY KEY (tenant_id)`,
		says:   "commit timestamp column",
		remedy: `ALTER TABLE tenants ALTER COLUMN created_at DROP DEFAULT`,
	},
	"requests that are not keyed by tenant": {
		base:   `CREATE TABLE requests (request_id STRING(36) NOT NULL, tenant_id STRING(36)) PRIMARY KEY (request_id)`,
		says:   "request_stages",
		remedy: `ALTER TABLE requests RENAME TO requests_before_adoption`,
	},
	"a stream of that name": {
		base:   `CREATE CHANGE STREAM analytics_changes`,
		says:   "analytics_changes",
		remedy: `DROP CHANGE STREAM analytics_changes`,
	},
}

// TestObstaclesToAdoption: an update that fails loses nothing and is repeated
// after the remedy.
func TestObstaclesToAdoption(t *testing.T) {
	h := newHarness(t)
	ctx := t.Context()
	if err := h.core.Spanner.CreateInstance(ctx, "upai", "by hand", 1000, nil); err != nil {
		t.Fatal(err)
	}
	n := 0
	for name, o := range obstacles {
		t.Run(name, func(t *testing.T) {
			n++
			id := fmt.Sprint("db-", n)
			if _, err := h.core.Spanner.CreateDatabase(ctx, "upai", id, false, []string{o.base}); err != nil {
				t.Fatal(err)
			}
			if _, err := h.core.Spanner.ApplyDDL(ctx, "upai", id, ddl.Statements()); err == nil || !strings.Contains(err.Error(), o.says) {
				t.Errorf("without the remedy: %v, want what names %s", err, o.says)
			}
			for _, statements := range [][]string{{o.remedy}, ddl.Statements()} {
				if _, err := h.core.Spanner.ApplyDDL(ctx, "upai", id, statements); err != nil {
					t.Errorf("with the remedy: %v", err)
				}
			}
		})
	}
}

func TestImportIDs(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"projects/p-123/instances/i/databases/d", "instances/i/databases/d", "p-123/i/d", "i/d"} {
		got, err := importID(testEnv, id, "instances", "databases")
		if diff := cmp.Diff([]string{"p-123", "i", "d"}, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", id, err, diff)
		}
	}
	for _, id := range []string{"", "d", "a/b/c/d/e", "projects/p/instances/i/tables/t", "other/i/d", "projects/other/instances/i/databases/d"} {
		if got, err := importID(testEnv, id, "instances", "databases"); err == nil {
			t.Errorf("%q: %v, want an error", id, got)
		}
	}
}
