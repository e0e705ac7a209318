-- One row for each enquiry of one customer to one tenant.

CREATE TABLE IF NOT EXISTS requests (
  tenant_id STRING(36) NOT NULL,
  request_id STRING(36) NOT NULL,
) PRIMARY KEY (tenant_id, request_id),
  INTERLEAVE IN PARENT tenants ON DELETE CASCADE;

ALTER TABLE requests ADD COLUMN IF NOT EXISTS office_id STRING(36);
ALTER TABLE requests ADD COLUMN IF NOT EXISTS source STRING(50);
ALTER TABLE requests ADD COLUMN IF NOT EXISTS communication_mode STRING(20);
ALTER TABLE requests ADD COLUMN IF NOT EXISTS status STRING(20) NOT NULL DEFAULT ('received');
ALTER TABLE requests ADD COLUMN IF NOT EXISTS call_id STRING(50);
ALTER TABLE requests ADD COLUMN IF NOT EXISTS recording_url STRING(2048);
-- Widened where an older database has it shorter: signed recording links are long.
ALTER TABLE requests ALTER COLUMN recording_url STRING(2048);
ALTER TABLE requests ADD COLUMN IF NOT EXISTS customer_name STRING(200);
ALTER TABLE requests ADD COLUMN IF NOT EXISTS customer_phone STRING(40);
ALTER TABLE requests ADD COLUMN IF NOT EXISTS customer_email STRING(320);
ALTER TABLE requests ADD COLUMN IF NOT EXISTS postal_code STRING(16);
ALTER TABLE requests ADD COLUMN IF NOT EXISTS payload JSON;
ALTER TABLE requests ADD COLUMN IF NOT EXISTS transcription_data JSON;
ALTER TABLE requests ADD COLUMN IF NOT EXISTS ai_analysis JSON;
ALTER TABLE requests ADD COLUMN IF NOT EXISTS lead_score INT64;
ALTER TABLE requests ADD COLUMN IF NOT EXISTS spam_likelihood FLOAT64;
ALTER TABLE requests ADD COLUMN IF NOT EXISTS decision STRING(50);
ALTER TABLE requests ADD COLUMN IF NOT EXISTS decision_reasons ARRAY<STRING(1024)>;
ALTER TABLE requests ADD COLUMN IF NOT EXISTS failure_stage STRING(50);
ALTER TABLE requests ADD COLUMN IF NOT EXISTS failure_cause STRING(1024);
ALTER TABLE requests ADD COLUMN IF NOT EXISTS created_at TIMESTAMP OPTIONS (allow_commit_timestamp = true);
ALTER TABLE requests ADD COLUMN IF NOT EXISTS updated_at TIMESTAMP OPTIONS (allow_commit_timestamp = true);
ALTER TABLE requests ALTER COLUMN created_at SET OPTIONS (allow_commit_timestamp = true);
ALTER TABLE requests ALTER COLUMN updated_at SET OPTIONS (allow_commit_timestamp = true);

CREATE INDEX IF NOT EXISTS idx_requests_call_id ON requests (call_id);
CREATE INDEX IF NOT EXISTS idx_requests_lead_score ON requests (tenant_id, lead_score DESC);
