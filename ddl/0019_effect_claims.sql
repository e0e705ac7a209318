-- Who has an effect, or had it last. The number of attempts does not tell: it
-- begins anew when what was put aside is released, and a sender that was lost
-- before must not end the claim of the one after it.

ALTER TABLE request_effects ADD COLUMN IF NOT EXISTS claim_id STRING(36);
