-- The dispatcher carries out what was planned: it moves effects on, and adds
-- none. The workflow engine plans them, and begins their stage. Like those of
-- 0009_roles.sql, these statements apply once.

CREATE ROLE dispatcher;

GRANT SELECT ON TABLE offices TO ROLE dispatcher;
GRANT SELECT, UPDATE ON TABLE requests TO ROLE dispatcher;
GRANT SELECT, UPDATE ON TABLE request_stages TO ROLE dispatcher;
GRANT SELECT(tenant_id, request_id, processing_status), UPDATE(processing_status, updated_at) ON TABLE webhook_events TO ROLE dispatcher;
GRANT INSERT ON TABLE request_audit TO ROLE dispatcher;
GRANT SELECT, UPDATE ON TABLE request_effects TO ROLE dispatcher;

GRANT INSERT ON TABLE request_stages TO ROLE workflow_engine;
GRANT SELECT, INSERT, UPDATE ON TABLE request_effects TO ROLE workflow_engine;
