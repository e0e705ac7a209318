package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"cloud.google.com/go/spanner"

	"ingestion.internal/shared/tenant"
)

// Tenants' and offices' states. Only active ones are served. A tenant is
// offboarded while the config says so, and inactive once it has left the
// config.
const (
	tenantActive   = tenant.Active
	tenantInactive = "inactive"
)

// Inactive tells whether the tenant has left the config for good.
func (t TenantRow) Inactive() bool { return t.Status == tenantInactive }

// Changes lists what a sync wrote, in words for an operator's log.
type Changes []string

// Sync brings the tenant's row and its offices' to the declared state. Offices
// and calendars that are no longer declared become inactive; nothing is deleted.
// Only what differs is written.
func (t *Tenant) Sync(ctx context.Context, declared tenant.Tenant) (Changes, error) {
	if declared.ID != t.id {
		return nil, fmt.Errorf("sync: tenant %q does not belong to the handle of tenant %q", declared.ID, t.id)
	}
	var changes Changes
	err := t.db.transact(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		changes = nil
		var mutations []*spanner.Mutation
		change := func(what string, m *spanner.Mutation) {
			changes = append(changes, what)
			mutations = append(mutations, m)
		}

		present, err := t.rows(ctx, tx, `SELECT '', IFNULL(name, ''), status, IFNULL(TO_JSON_STRING(intake_config), '')
			FROM tenants WHERE tenant_id = @tenant`, 3)
		if err != nil {
			return err
		}
		lets, err := json.Marshal(declared.Intake)
		if err != nil {
			return err
		}
		normal, err := normalJSON(string(lets))
		if err != nil {
			return err
		}
		if row := present[""]; row != nil {
			if row[2], err = normalJSON(row[2]); err != nil {
				return err
			}
		}
		want := []string{declared.Name, declared.State, normal}
		if what := difference("tenant", present, "", want); what != "" {
			change(what, t.upsert("tenants", present[""] == nil, map[string]any{
				"name": declared.Name, "status": declared.State,
				"intake_config": spanner.NullJSON{Value: json.RawMessage(lets), Valid: true},
			}))
		}

		present, err = t.rows(ctx, tx, `SELECT office_id, IFNULL(name, ''), status, IFNULL(callrail_company_id, ''),
			IFNULL(callrail_company_resource_id, ''), IFNULL(callrail_account_id, ''), IFNULL(callrail_api_key, ''),
			IFNULL(callrail_signing_key, ''), IFNULL(integrations_secret, ''), IFNULL(TO_JSON_STRING(workflow_config), '')
			FROM offices WHERE tenant_id = @tenant ORDER BY office_id`, 9)
		if err != nil {
			return err
		}
		declaredOffices := map[string]bool{}
		for _, o := range declared.Offices {
			declaredOffices[o.ID] = true
			config, err := json.Marshal(o.Workflow)
			if err != nil {
				return err
			}
			values := map[string]any{
				"office_id":                    o.ID,
				"name":                         o.Name,
				"status":                       tenantActive,
				"callrail_company_id":          nullString(o.CallRailCompanyID),
				"callrail_company_resource_id": nullString(o.CallRailCompanyResourceID),
				"callrail_account_id":          nullString(o.CallRailAccountID),
				"callrail_api_key":             nullString(o.CallRailAPIKeySecret),
				"callrail_signing_key":         nullString(o.CallRailSigningKeySecret),
				"integrations_secret":          nullString(o.IntegrationSecret),
				"workflow_config":              spanner.NullJSON{Value: json.RawMessage(config), Valid: true},
			}
			normal, err := normalJSON(string(config))
			if err != nil {
				return err
			}
			want := []string{o.Name, tenantActive, o.CallRailCompanyID, o.CallRailCompanyResourceID, o.CallRailAccountID,
				o.CallRailAPIKeySecret, o.CallRailSigningKeySecret, o.IntegrationSecret, normal}
			if row := present[o.ID]; row != nil {
				if row[8], err = normalJSON(row[8]); err != nil {
					return err
				}
			}
			if what := difference("office "+o.ID, present, o.ID, want); what != "" {
				change(what, t.upsert("offices", present[o.ID] == nil, values))
			}
		}
		for _, id := range slices.Sorted(maps.Keys(present)) {
			if !declaredOffices[id] && present[id][1] == tenantActive {
				change("office "+id+" deactivated", t.upsert("offices", false, map[string]any{"office_id": id, "status": tenantInactive}))
			}
		}
		if err := t.syncCalendars(ctx, tx, declared.Calendars, declared.State == tenantActive, change); err != nil {
			return err
		}
		return tx.BufferWrite(mutations)
	})
	if err != nil {
		return nil, fmt.Errorf("sync tenant %s: %w", t.id, err)
	}
	return changes, nil
}

// Deactivate marks a tenant inactive. Its data stays.
func (t *Tenant) Deactivate(ctx context.Context) error {
	err := t.db.transact(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		if _, err := tx.ReadRow(ctx, "tenants", spanner.Key{t.id}, []string{"tenant_id"}); err != nil {
			return notFound(err)
		}
		mutations := []*spanner.Mutation{t.upsert("tenants", false, map[string]any{"status": tenantInactive})}
		err := t.syncCalendars(ctx, tx, nil, false, func(_ string, m *spanner.Mutation) { mutations = append(mutations, m) })
		if err != nil {
			return err
		}
		return tx.BufferWrite(mutations)
	})
	if err != nil {
		return fmt.Errorf("deactivate tenant %s: %w", t.id, err)
	}
	return nil
}

// rows reads rows of a key and n texts.
func (t *Tenant) rows(ctx context.Context, tx reader, sql string, n int) (map[string][]string, error) {
	found := map[string][]string{}
	err := tx.Query(ctx, spanner.Statement{SQL: sql, Params: map[string]any{"tenant": t.id}}).Do(func(row *spanner.Row) error {
		var key string
		values := make([]string, n)
		targets := []any{&key}
		for i := range values {
			targets = append(targets, &values[i])
		}
		if err := row.Columns(targets...); err != nil {
			return err
		}
		found[key] = values
		return nil
	})
	return found, err
}

func (t *Tenant) upsert(table string, insert bool, values map[string]any) *spanner.Mutation {
	values["tenant_id"] = t.id
	values["updated_at"] = spanner.CommitTimestamp
	if insert {
		values["created_at"] = spanner.CommitTimestamp
		return spanner.InsertMap(table, values)
	}
	return spanner.UpdateMap(table, values)
}

// difference says in words how the row differs from what is wanted; "" if it
// does not.
func difference(what string, present map[string][]string, key string, want []string) string {
	row, ok := present[key]
	if !ok {
		return what + " added"
	}
	for i := range want {
		if row[i] != want[i] {
			return what + " updated"
		}
	}
	return ""
}

// normalJSON makes texts of the same JSON value the same.
func normalJSON(s string) (string, error) {
	if s == "" || s == "null" {
		return "", nil
	}
	var value any
	if err := json.Unmarshal([]byte(s), &value); err != nil {
		return "", err
	}
	normal, err := json.Marshal(value)
	return string(normal), err
}
