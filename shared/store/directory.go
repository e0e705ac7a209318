package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/spanner"

	"ingestion.internal/shared/agecache"
	"ingestion.internal/shared/intake"
	"ingestion.internal/shared/workflow"
)

// Directory finds active tenants and offices across the platform. What it
// finds may be as old as the configured age.
type Directory struct {
	client *spanner.Client
	cache  *agecache.Cache[[]Office]
	intake *agecache.Cache[intake.Config]
}

func newDirectory(client *spanner.Client, maxAge time.Duration, now func() time.Time) *Directory {
	notFound := func(err error) bool { return errors.Is(err, ErrNotFound) }
	return &Directory{
		client: client,
		cache:  agecache.New[[]Office](maxAge, notFound, now),
		intake: agecache.New[intake.Config](maxAge, notFound, now),
	}
}

const officeColumns = `o.tenant_id, o.office_id, o.name, o.callrail_company_id, o.callrail_company_resource_id,
	o.callrail_account_id, o.callrail_api_key, o.callrail_signing_key, o.integrations_secret,
	IF(o.workflow_config IS NULL, NULL, TO_JSON_STRING(o.workflow_config)) AS workflow_config`

const activeOffices = `SELECT ` + officeColumns + ` FROM offices AS o JOIN tenants AS t ON t.tenant_id = o.tenant_id
	WHERE t.status = 'active' AND o.status = 'active' AND `

// Company is how an event from CallRail names the office it belongs to.
type Company struct {
	TenantID   string // empty where the event does not name its tenant
	ID         string
	ResourceID string
}

// OfficeByCompany returns the active office of an active tenant that the
// company belongs to. ErrNotFound stands for every reason there is none: no
// such company, a company of another tenant than the event names, ids that
// belong to different companies, or several offices that claim it.
func (d *Directory) OfficeByCompany(ctx context.Context, c Company) (*Office, error) {
	offices, err := d.officesOf(ctx, "callrail_company_id", c.ID)
	if errors.Is(err, ErrNotFound) {
		offices, err = d.officesOf(ctx, "callrail_company_resource_id", c.ResourceID)
	}
	if err != nil {
		return nil, err
	}
	var found *Office
	for i := range offices {
		o := &offices[i]
		if c.TenantID != "" && o.TenantID != c.TenantID ||
			contradict(o.CallRailCompanyID, c.ID) || contradict(o.CallRailCompanyResourceID, c.ResourceID) {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("company %q: claimed by offices of %q and %q: %w", c.ID, found.TenantID, o.TenantID, ErrNotFound)
		}
		found = o
	}
	if found == nil {
		return nil, fmt.Errorf("company %q: %w", c.ID, ErrNotFound)
	}
	return found, nil
}

func contradict(a, b string) bool { return a != "" && b != "" && a != b }

func (d *Directory) officesOf(ctx context.Context, column, value string) ([]Office, error) {
	if value == "" {
		return nil, ErrNotFound
	}
	return d.find(ctx, column+"="+value, spanner.Statement{
		SQL:    activeOffices + `o.` + column + ` = @value`,
		Params: map[string]any{"value": value},
	})
}

// Offices returns the active offices of the tenant, ordered by id. ErrNotFound
// means that the tenant is unknown, inactive or without offices.
func (d *Directory) Offices(ctx context.Context, tenantID string) ([]Office, error) {
	return d.find(ctx, "tenant="+tenantID, spanner.Statement{
		SQL:    activeOffices + `o.tenant_id = @tenant ORDER BY o.office_id`,
		Params: map[string]any{"tenant": tenantID},
	})
}

func (d *Directory) find(ctx context.Context, key string, stmt spanner.Statement) ([]Office, error) {
	return d.cache.Get(ctx, key, func(ctx context.Context) ([]Office, error) {
		offices, err := queryOffices(d.client.Single().Query(ctx, stmt))
		if err != nil {
			return nil, err
		}
		if len(offices) == 0 {
			return nil, ErrNotFound
		}
		return offices, nil
	})
}

// TenantRow is what the directory knows of a tenant as such.
type TenantRow struct {
	ID     string
	Status string // active, offboarded or inactive
	// Synced tells that the platform wrote the tenant's offices. A tenant
	// without any such office is older than the platform, which leaves it as
	// it is.
	Synced bool
}

// Tenants returns every tenant, in the order of their ids. It is not cached.
func (d *Directory) Tenants(ctx context.Context) ([]TenantRow, error) {
	var all []TenantRow
	err := d.client.Single().Query(ctx, spanner.NewStatement(`SELECT t.tenant_id, t.status,
			EXISTS (SELECT o.office_id FROM offices AS o WHERE o.tenant_id = t.tenant_id AND o.workflow_config IS NOT NULL)
			FROM tenants AS t ORDER BY t.tenant_id`)).
		Do(func(row *spanner.Row) error {
			var t TenantRow
			if err := row.Columns(&t.ID, &t.Status, &t.Synced); err != nil {
				return err
			}
			all = append(all, t)
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("tenants: %w", err)
	}
	return all, nil
}

// Intake returns what the active tenant lets in by its public channels, or
// ErrNotFound.
func (d *Directory) Intake(ctx context.Context, tenantID string) (intake.Config, error) {
	return d.intake.Get(ctx, tenantID, func(ctx context.Context) (intake.Config, error) {
		row, err := d.client.Single().ReadRow(ctx, "tenants", spanner.Key{tenantID}, []string{"status", "intake_config"})
		if err != nil {
			return intake.Config{}, fmt.Errorf("tenant %s: %w", tenantID, notFound(err))
		}
		var status string
		var config spanner.NullJSON
		if err := row.Columns(&status, &config); err != nil {
			return intake.Config{}, fmt.Errorf("tenant %s: %w", tenantID, err)
		}
		if status != tenantActive {
			return intake.Config{}, fmt.Errorf("tenant %s is %s: %w", tenantID, status, ErrNotFound)
		}
		var cfg intake.Config
		if config.Valid {
			text, err := json.Marshal(config.Value)
			if err == nil {
				err = json.Unmarshal(text, &cfg)
			}
			if err != nil {
				return intake.Config{}, fmt.Errorf("intake_config of tenant %s: %w", tenantID, err)
			}
		}
		return cfg.WithDefaults(), nil
	})
}

func queryOffices(rows *spanner.RowIterator) ([]Office, error) {
	var offices []Office
	err := rows.Do(func(row *spanner.Row) error {
		var o Office
		var name, company, resource, account, apiKey, signingKey, integration, config spanner.NullString
		if err := row.Columns(&o.TenantID, &o.OfficeID, &name, &company, &resource, &account, &apiKey, &signingKey, &integration, &config); err != nil {
			return err
		}
		o.Name, o.CallRailCompanyID, o.CallRailCompanyResourceID = name.StringVal, company.StringVal, resource.StringVal
		o.CallRailAccountID, o.CallRailAPIKeySecret, o.CallRailSigningKeySecret = account.StringVal, apiKey.StringVal, signingKey.StringVal
		o.IntegrationSecret = integration.StringVal
		o.Workflow = workflow.Default()
		if config.Valid {
			if err := json.Unmarshal([]byte(config.StringVal), &o.Workflow); err != nil {
				return fmt.Errorf("workflow_config of office %s of tenant %s: %w", o.OfficeID, o.TenantID, err)
			}
		}
		offices = append(offices, o)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("offices: %w", err)
	}
	return offices, nil
}
