-- Tenants and their offices: what stack config declares, written by tenant-sync.
--
-- A table is created with its key alone and every other column is added by a
-- statement of its own, so a database that already has the table, with some of
-- the columns, ends with the same shape as a new one.

CREATE TABLE IF NOT EXISTS tenants (
  tenant_id STRING(36) NOT NULL,
) PRIMARY KEY (tenant_id);

ALTER TABLE tenants ADD COLUMN IF NOT EXISTS name STRING(200);
-- active, offboarded (by config) or inactive (no longer in the config).
ALTER TABLE tenants ADD COLUMN IF NOT EXISTS status STRING(20) NOT NULL DEFAULT ('active');
ALTER TABLE tenants ADD COLUMN IF NOT EXISTS created_at TIMESTAMP OPTIONS (allow_commit_timestamp = true);
ALTER TABLE tenants ADD COLUMN IF NOT EXISTS updated_at TIMESTAMP OPTIONS (allow_commit_timestamp = true);
-- Repeated for databases where the columns are older than the option.
ALTER TABLE tenants ALTER COLUMN created_at SET OPTIONS (allow_commit_timestamp = true);
ALTER TABLE tenants ALTER COLUMN updated_at SET OPTIONS (allow_commit_timestamp = true);

CREATE TABLE IF NOT EXISTS offices (
  tenant_id STRING(36) NOT NULL,
  office_id STRING(36) NOT NULL,
) PRIMARY KEY (tenant_id, office_id),
  INTERLEAVE IN PARENT tenants ON DELETE CASCADE;

ALTER TABLE offices ADD COLUMN IF NOT EXISTS name STRING(200);
ALTER TABLE offices ADD COLUMN IF NOT EXISTS status STRING(20) NOT NULL DEFAULT ('active');
ALTER TABLE offices ADD COLUMN IF NOT EXISTS callrail_company_id STRING(50);
ALTER TABLE offices ADD COLUMN IF NOT EXISTS callrail_company_resource_id STRING(50);
ALTER TABLE offices ADD COLUMN IF NOT EXISTS callrail_account_id STRING(50);
-- The two keys are names of secrets in Secret Manager, never keys.
ALTER TABLE offices ADD COLUMN IF NOT EXISTS callrail_api_key STRING(100);
ALTER TABLE offices ADD COLUMN IF NOT EXISTS callrail_signing_key STRING(100);
ALTER TABLE offices ADD COLUMN IF NOT EXISTS workflow_config JSON;
ALTER TABLE offices ADD COLUMN IF NOT EXISTS created_at TIMESTAMP OPTIONS (allow_commit_timestamp = true);
ALTER TABLE offices ADD COLUMN IF NOT EXISTS updated_at TIMESTAMP OPTIONS (allow_commit_timestamp = true);
ALTER TABLE offices ALTER COLUMN created_at SET OPTIONS (allow_commit_timestamp = true);
ALTER TABLE offices ALTER COLUMN updated_at SET OPTIONS (allow_commit_timestamp = true);

CREATE INDEX IF NOT EXISTS idx_offices_callrail ON offices (callrail_company_id, tenant_id);
CREATE INDEX IF NOT EXISTS idx_offices_callrail_resource ON offices (callrail_company_resource_id, tenant_id);
