-- Where the recording of a call is kept.

CREATE TABLE IF NOT EXISTS call_recordings (
  tenant_id STRING(36) NOT NULL,
  recording_id STRING(36) NOT NULL DEFAULT (GENERATE_UUID()),
) PRIMARY KEY (tenant_id, recording_id),
  INTERLEAVE IN PARENT tenants ON DELETE CASCADE;

ALTER TABLE call_recordings ADD COLUMN IF NOT EXISTS call_id STRING(50);
ALTER TABLE call_recordings ADD COLUMN IF NOT EXISTS storage_url STRING(500);
ALTER TABLE call_recordings ADD COLUMN IF NOT EXISTS content_type STRING(100);
ALTER TABLE call_recordings ADD COLUMN IF NOT EXISTS size_bytes INT64;
ALTER TABLE call_recordings ADD COLUMN IF NOT EXISTS sha256 STRING(64);
ALTER TABLE call_recordings ADD COLUMN IF NOT EXISTS duration_seconds INT64;
ALTER TABLE call_recordings ADD COLUMN IF NOT EXISTS transcription_status STRING(20) DEFAULT ('pending');
ALTER TABLE call_recordings ADD COLUMN IF NOT EXISTS created_at TIMESTAMP OPTIONS (allow_commit_timestamp = true);
ALTER TABLE call_recordings ADD COLUMN IF NOT EXISTS updated_at TIMESTAMP OPTIONS (allow_commit_timestamp = true);
