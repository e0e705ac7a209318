-- Who may read and write what: one database role for each service, with the
-- tables that its code uses (fine-grained access control). No service may
-- delete, and only tenant_sync writes what the config declares. Columns are
-- named where a service needs few of them and the rest is none of its business.
--
-- Spanner has no IF NOT EXISTS for a role, so these statements, unlike the
-- others, apply once: docs/infrastructure.md, "Spanner", says what to do if an
-- update fails between them. The emulator knows no roles; there they are
-- skipped.

CREATE ROLE webhook_processor;
CREATE ROLE intake_api;
CREATE ROLE audio_processor;
CREATE ROLE ai_analyzer;
CREATE ROLE workflow_engine;
CREATE ROLE sweeper;
CREATE ROLE tenant_sync;

-- What comes from outside is folded into its request, which may exist.
GRANT SELECT(tenant_id, status) ON TABLE tenants TO ROLE webhook_processor, intake_api;
GRANT SELECT ON TABLE offices TO ROLE webhook_processor, intake_api;
GRANT SELECT, INSERT, UPDATE ON TABLE requests TO ROLE webhook_processor, intake_api;
GRANT SELECT, INSERT, UPDATE ON TABLE request_stages TO ROLE webhook_processor, intake_api;
GRANT SELECT, INSERT ON TABLE webhook_events TO ROLE webhook_processor, intake_api;
GRANT INSERT ON TABLE request_audit TO ROLE webhook_processor, intake_api;

-- The stages of the pipeline. What came from outside is no concern of theirs,
-- but for saying that it is dealt with.
GRANT SELECT ON TABLE offices TO ROLE audio_processor, ai_analyzer, workflow_engine;
GRANT SELECT, UPDATE ON TABLE requests TO ROLE audio_processor, ai_analyzer, workflow_engine;
GRANT SELECT, INSERT, UPDATE ON TABLE request_stages TO ROLE audio_processor, ai_analyzer;
GRANT SELECT, UPDATE ON TABLE request_stages TO ROLE workflow_engine;
GRANT SELECT(tenant_id, request_id, processing_status), UPDATE(processing_status, updated_at) ON TABLE webhook_events
  TO ROLE audio_processor, ai_analyzer, workflow_engine;
GRANT INSERT ON TABLE request_audit TO ROLE audio_processor, ai_analyzer, workflow_engine;
GRANT INSERT, UPDATE ON TABLE call_recordings TO ROLE audio_processor;

-- The sweeper moves stages on and sees nothing of requests.
GRANT SELECT, UPDATE(tenant_id, request_id, stage, enqueued_at, sweep_after, sweeps) ON TABLE request_stages TO ROLE sweeper;
GRANT INSERT ON TABLE request_audit TO ROLE sweeper;

GRANT SELECT, INSERT, UPDATE ON TABLE tenants TO ROLE tenant_sync;
GRANT SELECT, INSERT, UPDATE ON TABLE offices TO ROLE tenant_sync;
