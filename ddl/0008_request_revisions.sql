-- One request may hear of its customer many times: a call's webhooks come one
-- after another and in any order, a conversation goes on, a booking moves.
-- Every event is kept as it came; what a request says is folded from all of
-- its events, so it depends neither on their order nor on their number.

-- Counts the events that changed what the request says.
ALTER TABLE requests ADD COLUMN IF NOT EXISTS revision INT64 NOT NULL DEFAULT (0);

ALTER TABLE webhook_events ADD COLUMN IF NOT EXISTS event_type STRING(50);
ALTER TABLE webhook_events ADD COLUMN IF NOT EXISTS payload JSON;
-- Of the bytes that came, in hex: tells a repeated delivery from another event
-- under the same id.
ALTER TABLE webhook_events ADD COLUMN IF NOT EXISTS payload_sha256 STRING(64);
-- When it happened, by its sender; NULL where the sender does not say.
ALTER TABLE webhook_events ADD COLUMN IF NOT EXISTS occurred_at TIMESTAMP;

CREATE INDEX IF NOT EXISTS webhook_events_by_request
  ON webhook_events (tenant_id, request_id);

-- How often the stage was begun anew, because what it had worked on changed.
-- An attempt of an earlier round has lost its claim.
ALTER TABLE request_stages ADD COLUMN IF NOT EXISTS round INT64 NOT NULL DEFAULT (0);
