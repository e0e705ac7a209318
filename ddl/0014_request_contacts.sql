-- By what a person is known again: for each request the telephone number, in
-- E.164, and the e-mail address, in small letters, that it has or has had. The
-- two cannot be mistaken for each other. A row outlives nothing but its
-- request's own columns, which have the same: it is there to be found by.

CREATE TABLE IF NOT EXISTS request_contacts (
  tenant_id STRING(36) NOT NULL,
  contact STRING(320) NOT NULL,
  request_id STRING(36) NOT NULL,
) PRIMARY KEY (tenant_id, contact, request_id),
  INTERLEAVE IN PARENT tenants ON DELETE CASCADE;

GRANT INSERT, UPDATE ON TABLE request_contacts TO ROLE webhook_processor, intake_api, ai_analyzer;
GRANT SELECT ON TABLE request_contacts TO ROLE ai_analyzer;
