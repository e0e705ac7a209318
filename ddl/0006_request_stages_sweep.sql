-- How the sweeper finds the stages that nobody works on. sweep_after is when it
-- may take the stage up; it is set while the stage is pending or running, moves
-- with every sign of life, and is NULL once the stage is over, so the index
-- holds the open stages only. Times that grow would all meet on one server:
-- the shard in front spreads them.

ALTER TABLE request_stages ADD COLUMN IF NOT EXISTS sweep_after TIMESTAMP;
ALTER TABLE request_stages ADD COLUMN IF NOT EXISTS sweep_shard INT64;
ALTER TABLE request_stages ADD COLUMN IF NOT EXISTS sweeps INT64 NOT NULL DEFAULT (0);

CREATE NULL_FILTERED INDEX IF NOT EXISTS request_stages_by_sweep_after
  ON request_stages (sweep_shard, sweep_after);
