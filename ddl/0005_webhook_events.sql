-- One row for each event that was accepted from outside. The owner's
-- description keys it by event_id alone; here the key begins with tenant_id,
-- because an event is recorded only after its tenant is proven, and a table
-- keyed otherwise could not be reached through a handle bound to one tenant,
-- nor be deleted with its tenant.

CREATE TABLE IF NOT EXISTS webhook_events (
  tenant_id STRING(36) NOT NULL,
  event_id STRING(36) NOT NULL DEFAULT (GENERATE_UUID()),
) PRIMARY KEY (tenant_id, event_id),
  INTERLEAVE IN PARENT tenants ON DELETE CASCADE;

ALTER TABLE webhook_events ADD COLUMN IF NOT EXISTS webhook_source STRING(50);
ALTER TABLE webhook_events ADD COLUMN IF NOT EXISTS call_id STRING(50);
ALTER TABLE webhook_events ADD COLUMN IF NOT EXISTS request_id STRING(36);
-- received, processed or failed.
ALTER TABLE webhook_events ADD COLUMN IF NOT EXISTS processing_status STRING(20) NOT NULL DEFAULT ('received');
ALTER TABLE webhook_events ADD COLUMN IF NOT EXISTS created_at TIMESTAMP OPTIONS (allow_commit_timestamp = true);
ALTER TABLE webhook_events ADD COLUMN IF NOT EXISTS updated_at TIMESTAMP OPTIONS (allow_commit_timestamp = true);
