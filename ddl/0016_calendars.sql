-- Google Calendars of tenants whose events are bookings, and the channels by
-- which Google says that one has changed: docs/channels.md, "Google Calendar".
-- A calendar is taken up when it is due. A notification makes it due and counts
-- in notified, so that one that comes while the calendar is being read is not
-- lost: due_at is moved on only if the count is still what it was.

CREATE TABLE IF NOT EXISTS calendars (
  tenant_id STRING(36) NOT NULL,
  calendar_id STRING(255) NOT NULL,
  office_id STRING(36),
  own_domains ARRAY<STRING(255)>,
  status STRING(20) NOT NULL,
  connected_at TIMESTAMP NOT NULL,
  due_at TIMESTAMP,
  notified INT64 NOT NULL,
  sync_token STRING(MAX),
  synced_at TIMESTAMP,
  lease_id STRING(36),
  lease_until TIMESTAMP,
  failures INT64 NOT NULL,
  failure_cause STRING(1024),
  created_at TIMESTAMP OPTIONS (allow_commit_timestamp = true),
  updated_at TIMESTAMP OPTIONS (allow_commit_timestamp = true),
) PRIMARY KEY (tenant_id, calendar_id),
  INTERLEAVE IN PARENT tenants ON DELETE CASCADE;

-- Calendars that nothing is to be done about are not in it.
CREATE NULL_FILTERED INDEX IF NOT EXISTS calendars_by_due_at ON calendars (due_at);

-- A channel is there before Google is asked to open it, because its first
-- message may come before Google's answer. Closed ones are forgotten in time.
CREATE TABLE IF NOT EXISTS calendar_channels (
  tenant_id STRING(36) NOT NULL,
  calendar_id STRING(255) NOT NULL,
  channel_id STRING(64) NOT NULL,
  token_sha256 STRING(64) NOT NULL,
  address STRING(1024) NOT NULL,
  resource_id STRING(255),
  expires_at TIMESTAMP,
  last_message_number INT64,
  last_notified_at TIMESTAMP,
  closed_at TIMESTAMP,
  created_at TIMESTAMP OPTIONS (allow_commit_timestamp = true),
  updated_at TIMESTAMP OPTIONS (allow_commit_timestamp = true),
) PRIMARY KEY (tenant_id, calendar_id, channel_id),
  INTERLEAVE IN PARENT calendars ON DELETE CASCADE,
  ROW DELETION POLICY (OLDER_THAN(closed_at, INTERVAL 30 DAY));

-- A notification names its channel and no tenant.
CREATE INDEX IF NOT EXISTS calendar_channels_by_channel_id ON calendar_channels (channel_id);

-- Who says what: the config which calendars there are, Google's notifications
-- that one is due, and the service calendar-sync all the rest. That records
-- bookings as their webhook does.
CREATE ROLE calendar_sync;

GRANT SELECT(tenant_id, calendar_id, office_id, own_domains, status), INSERT,
  UPDATE(tenant_id, calendar_id, office_id, own_domains, status, connected_at, due_at, sync_token, updated_at)
  ON TABLE calendars TO ROLE tenant_sync;
GRANT SELECT(tenant_id, calendar_id, status, notified), UPDATE(tenant_id, calendar_id, due_at, notified, updated_at)
  ON TABLE calendars TO ROLE webhook_processor;
GRANT SELECT(tenant_id, calendar_id, channel_id, token_sha256, resource_id, closed_at, last_message_number),
  UPDATE(tenant_id, calendar_id, channel_id, last_message_number, last_notified_at, updated_at)
  ON TABLE calendar_channels TO ROLE webhook_processor;
GRANT SELECT, UPDATE ON TABLE calendars TO ROLE calendar_sync;
GRANT SELECT, INSERT, UPDATE ON TABLE calendar_channels TO ROLE calendar_sync;

GRANT SELECT(tenant_id, status) ON TABLE tenants TO ROLE calendar_sync;
GRANT SELECT ON TABLE offices TO ROLE calendar_sync;
GRANT SELECT, INSERT, UPDATE ON TABLE requests TO ROLE calendar_sync;
GRANT SELECT, INSERT, UPDATE ON TABLE request_stages TO ROLE calendar_sync;
GRANT SELECT, INSERT ON TABLE webhook_events TO ROLE calendar_sync;
GRANT INSERT ON TABLE request_audit TO ROLE calendar_sync;
GRANT INSERT, UPDATE ON TABLE request_contacts TO ROLE calendar_sync;
