-- What a tenant lets in by its public channels: origins, names of forms'
-- fields, limits. Of the shape of shared/intake; NULL is all defaults.

ALTER TABLE tenants ADD COLUMN IF NOT EXISTS intake_config JSON;

GRANT SELECT(intake_config) ON TABLE tenants TO ROLE intake_api;
