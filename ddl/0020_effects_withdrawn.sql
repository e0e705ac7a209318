-- When a later decision took an effect back that was just being carried out.
-- Whatever is left to do about it then is not done.

ALTER TABLE request_effects ADD COLUMN IF NOT EXISTS withdrawn_at TIMESTAMP;
