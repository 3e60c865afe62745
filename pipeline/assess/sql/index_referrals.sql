-- The referrals of earlier nights, whose keys stand in the kept index.
CREATE OR REPLACE TEMP VIEW old_referrals AS SELECT referral_id FROM kept.ids
