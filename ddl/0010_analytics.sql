-- What analytics may see: how requests fare, and nothing of whom they are from
-- or what was said. It is read by the role analytics, as a stream of changes
-- and as a view.

-- Columns are named, so a new one is not in the stream until a statement adds
-- it. Keys are always in it. Seven days is the longest that Spanner keeps a
-- stream's records by default; a reader that was away for less has missed
-- nothing. Like roles, a stream knows no IF NOT EXISTS.
CREATE CHANGE STREAM analytics_changes
  FOR requests(office_id, source, communication_mode, status, lead_score, spam_likelihood, decision, failure_stage, created_at, updated_at),
    request_stages(state, attempts, started_at, finished_at)
  OPTIONS (retention_period = '7d', value_capture_type = 'NEW_ROW');

-- It reads with its definer's rights, so its readers need none on the table.
CREATE OR REPLACE VIEW analytics_requests SQL SECURITY DEFINER AS
  SELECT r.tenant_id, r.request_id, r.office_id, r.source, r.communication_mode, r.status, r.lead_score,
    r.spam_likelihood, r.decision, r.failure_stage, r.created_at, r.updated_at
  FROM requests AS r;

CREATE ROLE analytics;
GRANT SELECT ON CHANGE STREAM analytics_changes TO ROLE analytics;
GRANT EXECUTE ON TABLE FUNCTION READ_analytics_changes TO ROLE analytics;
GRANT SELECT ON VIEW analytics_requests TO ROLE analytics;
