-- What Document AI read in the files that came with a form, of the shape of
-- shared/documents, and the service that has it read.
--
-- A role has no IF NOT EXISTS, see 0009_roles.sql.

ALTER TABLE requests ADD COLUMN IF NOT EXISTS document_data JSON;

CREATE ROLE document_processor;

GRANT SELECT(tenant_id, status, intake_config) ON TABLE tenants TO ROLE document_processor;
GRANT SELECT ON TABLE offices TO ROLE document_processor;
GRANT SELECT, UPDATE ON TABLE requests TO ROLE document_processor;
GRANT SELECT, INSERT, UPDATE ON TABLE request_stages TO ROLE document_processor;
GRANT SELECT(tenant_id, request_id, processing_status), UPDATE(processing_status, updated_at) ON TABLE webhook_events TO ROLE document_processor;
GRANT INSERT ON TABLE request_audit TO ROLE document_processor;
GRANT INSERT, UPDATE ON TABLE request_contacts TO ROLE document_processor;
