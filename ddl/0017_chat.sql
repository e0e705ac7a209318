-- Conversations of the chat on tenants' pages. They are kept here message by
-- message, so that nothing that a customer wrote is lost, and become a request
-- once they are closed or quiet. Then everything is in webhook_events, and the
-- rows go after a while: expires_at is set where nothing is left to be
-- recorded, and NULL (never) where something is.
--
-- quiet_at is from when on a conversation counts as quiet. It is NULL where
-- nothing is left to be recorded, so the index holds the open ends only, spread
-- by a shard in front, as that of request_stages.

CREATE TABLE IF NOT EXISTS chat_sessions (
  tenant_id STRING(36) NOT NULL,
  session_id STRING(36) NOT NULL,
  token_sha256 STRING(64) NOT NULL,
  office_id STRING(36),
  page STRING(2048),
  visitor JSON,
  state STRING(20) NOT NULL DEFAULT ('open'),
  last_number INT64 NOT NULL DEFAULT (0),
  recorded_number INT64 NOT NULL DEFAULT (0),
  quiet_shard INT64,
  quiet_at TIMESTAMP,
  expires_at TIMESTAMP,
  created_at TIMESTAMP NOT NULL OPTIONS (allow_commit_timestamp = true),
  updated_at TIMESTAMP NOT NULL OPTIONS (allow_commit_timestamp = true),
) PRIMARY KEY (tenant_id, session_id),
  INTERLEAVE IN PARENT tenants ON DELETE CASCADE,
  ROW DELETION POLICY (OLDER_THAN(expires_at, INTERVAL 0 DAY));

-- The customer's messages by number, each with its answer. answering_until is
-- how long the answer is the business of whoever holds answer_claim.
CREATE TABLE IF NOT EXISTS chat_messages (
  tenant_id STRING(36) NOT NULL,
  session_id STRING(36) NOT NULL,
  number INT64 NOT NULL,
  message STRING(MAX) NOT NULL,
  visitor JSON,
  said_at TIMESTAMP NOT NULL,
  answer STRING(MAX),
  answered_by STRING(20),
  answered_at TIMESTAMP,
  answer_claim STRING(36),
  answering_until TIMESTAMP,
) PRIMARY KEY (tenant_id, session_id, number),
  INTERLEAVE IN PARENT chat_sessions ON DELETE CASCADE;

CREATE NULL_FILTERED INDEX IF NOT EXISTS chat_sessions_by_quiet_at
  ON chat_sessions (quiet_shard, quiet_at);

CREATE ROLE chat_api;

GRANT SELECT(tenant_id, status, intake_config) ON TABLE tenants TO ROLE chat_api;
GRANT SELECT(tenant_id, status) ON TABLE tenants TO ROLE sweeper;
GRANT SELECT ON TABLE offices TO ROLE chat_api;
GRANT SELECT, INSERT, UPDATE ON TABLE chat_sessions TO ROLE chat_api;
GRANT SELECT, UPDATE ON TABLE chat_sessions TO ROLE sweeper;
GRANT SELECT, INSERT, UPDATE ON TABLE chat_messages TO ROLE chat_api;
GRANT SELECT, UPDATE ON TABLE chat_messages TO ROLE sweeper;

-- Both make requests of conversations.
GRANT SELECT, INSERT, UPDATE ON TABLE requests TO ROLE chat_api, sweeper;
GRANT SELECT, INSERT, UPDATE ON TABLE request_stages TO ROLE chat_api;
GRANT INSERT, UPDATE ON TABLE request_stages TO ROLE sweeper;
GRANT SELECT, INSERT ON TABLE webhook_events TO ROLE chat_api, sweeper;
GRANT INSERT ON TABLE request_audit TO ROLE chat_api;
GRANT INSERT, UPDATE ON TABLE request_contacts TO ROLE chat_api, sweeper;
