-- What bounds the cost of the chat, which strangers may use as they like.
-- said_chars is how much was said in a conversation, recorded_at when its
-- request last heard of it: each time the whole of it is analysed. chat_days
-- counts the answers of the assistant by tenant and day (UTC). Services take
-- them from it by the lot, so the row is written a few times an hour, not with
-- every message.

ALTER TABLE chat_sessions ADD COLUMN IF NOT EXISTS said_chars INT64;
ALTER TABLE chat_sessions ADD COLUMN IF NOT EXISTS recorded_at TIMESTAMP;

CREATE TABLE IF NOT EXISTS chat_days (
  tenant_id STRING(36) NOT NULL,
  day DATE NOT NULL,
  answers INT64 NOT NULL,
  expires_at TIMESTAMP,
  updated_at TIMESTAMP NOT NULL OPTIONS (allow_commit_timestamp = true),
) PRIMARY KEY (tenant_id, day),
  INTERLEAVE IN PARENT tenants ON DELETE CASCADE,
  ROW DELETION POLICY (OLDER_THAN(expires_at, INTERVAL 0 DAY));

GRANT SELECT, INSERT, UPDATE ON TABLE chat_days TO ROLE chat_api;
