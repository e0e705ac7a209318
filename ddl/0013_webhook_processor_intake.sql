-- Forms that CallRail tells of are read by their tenant's own names.

GRANT SELECT(intake_config) ON TABLE tenants TO ROLE webhook_processor;
