-- The outbox: one row for each stage that a request has reached. It is written
-- pending in the transaction that commits the stage before, and its task is
-- enqueued after that commit; a pending row without enqueued_at is work that
-- has not reached its queue.

CREATE TABLE IF NOT EXISTS request_stages (
  tenant_id STRING(36) NOT NULL,
  request_id STRING(36) NOT NULL,
  stage STRING(50) NOT NULL,
) PRIMARY KEY (tenant_id, request_id, stage),
  INTERLEAVE IN PARENT requests ON DELETE CASCADE;

-- pending, running, done, failed or dead_letter.
ALTER TABLE request_stages ADD COLUMN IF NOT EXISTS state STRING(20) NOT NULL DEFAULT ('pending');
ALTER TABLE request_stages ADD COLUMN IF NOT EXISTS attempts INT64 NOT NULL DEFAULT (0);
ALTER TABLE request_stages ADD COLUMN IF NOT EXISTS lease_until TIMESTAMP;
ALTER TABLE request_stages ADD COLUMN IF NOT EXISTS cause STRING(1024);
ALTER TABLE request_stages ADD COLUMN IF NOT EXISTS enqueued_at TIMESTAMP OPTIONS (allow_commit_timestamp = true);
ALTER TABLE request_stages ADD COLUMN IF NOT EXISTS started_at TIMESTAMP OPTIONS (allow_commit_timestamp = true);
ALTER TABLE request_stages ADD COLUMN IF NOT EXISTS finished_at TIMESTAMP OPTIONS (allow_commit_timestamp = true);
ALTER TABLE request_stages ADD COLUMN IF NOT EXISTS created_at TIMESTAMP OPTIONS (allow_commit_timestamp = true);
