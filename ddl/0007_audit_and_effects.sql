-- The audit trail: one row for each decision about a request and each effect
-- outside the platform. A row is inserted in the transaction that commits what
-- it tells of, and never updated or deleted but with its request.

CREATE TABLE IF NOT EXISTS request_audit (
  tenant_id STRING(36) NOT NULL,
  request_id STRING(36) NOT NULL,
  entry_id STRING(36) NOT NULL,
) PRIMARY KEY (tenant_id, request_id, entry_id),
  INTERLEAVE IN PARENT requests ON DELETE CASCADE;

-- The order of the story: when, then the place among the rows of one commit.
ALTER TABLE request_audit ADD COLUMN IF NOT EXISTS written_at TIMESTAMP OPTIONS (allow_commit_timestamp = true);
ALTER TABLE request_audit ADD COLUMN IF NOT EXISTS position INT64;
ALTER TABLE request_audit ADD COLUMN IF NOT EXISTS stage STRING(50);
-- What was done (accepted, crm.sent, ...), and why in a sentence.
ALTER TABLE request_audit ADD COLUMN IF NOT EXISTS action STRING(50);
ALTER TABLE request_audit ADD COLUMN IF NOT EXISTS reason STRING(1024);
-- The revision of the service that did it, or who else it was.
ALTER TABLE request_audit ADD COLUMN IF NOT EXISTS actor STRING(200);
-- By what: a hash of the workflow_config, the versioned prompt, the model.
ALTER TABLE request_audit ADD COLUMN IF NOT EXISTS config_hash STRING(64);
ALTER TABLE request_audit ADD COLUMN IF NOT EXISTS prompt_version STRING(100);
ALTER TABLE request_audit ADD COLUMN IF NOT EXISTS model STRING(100);
ALTER TABLE request_audit ADD COLUMN IF NOT EXISTS details JSON;

-- What follows from a decision outside the platform: one row for each effect
-- (crm, email) and target (the provider, the recipient) of a request. It is
-- planned in the transaction that commits the decision.

CREATE TABLE IF NOT EXISTS request_effects (
  tenant_id STRING(36) NOT NULL,
  request_id STRING(36) NOT NULL,
  effect STRING(20) NOT NULL,
  target STRING(320) NOT NULL,
) PRIMARY KEY (tenant_id, request_id, effect, target),
  INTERLEAVE IN PARENT requests ON DELETE CASCADE;

-- planned, sending, sent, skipped, parked or failed.
ALTER TABLE request_effects ADD COLUMN IF NOT EXISTS state STRING(20) NOT NULL DEFAULT ('planned');
-- immediate, batch or digest: whether it is carried out alone or with others.
ALTER TABLE request_effects ADD COLUMN IF NOT EXISTS mode STRING(20);
ALTER TABLE request_effects ADD COLUMN IF NOT EXISTS attempts INT64 NOT NULL DEFAULT (0);
-- Set while it is sending: until then it is its sender's alone.
ALTER TABLE request_effects ADD COLUMN IF NOT EXISTS lease_until TIMESTAMP;
ALTER TABLE request_effects ADD COLUMN IF NOT EXISTS next_attempt_at TIMESTAMP;
-- The mail that it is sent in, one or a digest of several effects. It is named
-- before it is sent, so that after a crash the mail service can be asked.
ALTER TABLE request_effects ADD COLUMN IF NOT EXISTS message_id STRING(64);
-- What the provider calls it: the CRM's record, the mail service's message.
ALTER TABLE request_effects ADD COLUMN IF NOT EXISTS external_id STRING(200);
-- Of the last attempt that failed, or why it was skipped.
ALTER TABLE request_effects ADD COLUMN IF NOT EXISTS cause STRING(1024);
-- The version of the secret that the provider refused, while it is parked.
ALTER TABLE request_effects ADD COLUMN IF NOT EXISTS secret_version STRING(255);
ALTER TABLE request_effects ADD COLUMN IF NOT EXISTS planned_at TIMESTAMP OPTIONS (allow_commit_timestamp = true);
ALTER TABLE request_effects ADD COLUMN IF NOT EXISTS sending_at TIMESTAMP OPTIONS (allow_commit_timestamp = true);
ALTER TABLE request_effects ADD COLUMN IF NOT EXISTS finished_at TIMESTAMP OPTIONS (allow_commit_timestamp = true);

-- How the dispatcher finds the effects that are due, as the sweeper finds
-- stages: due_after is NULL once an effect is over.
ALTER TABLE request_effects ADD COLUMN IF NOT EXISTS due_after TIMESTAMP;
ALTER TABLE request_effects ADD COLUMN IF NOT EXISTS due_shard INT64;

CREATE NULL_FILTERED INDEX IF NOT EXISTS request_effects_by_due_after
  ON request_effects (due_shard, due_after);

-- The name of the secret with the tenant's settings of its CRM and mail, never
-- a setting.
ALTER TABLE offices ADD COLUMN IF NOT EXISTS integrations_secret STRING(255);
