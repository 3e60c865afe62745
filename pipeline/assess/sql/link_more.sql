-- Two old referrals that newly share something may share more from before: all keys that they have.
CREATE OR REPLACE TEMP TABLE more AS
    SELECT DISTINCT kind, value FROM ({old}) k SEMI JOIN old_pairs USING (referral_id) ANTI JOIN touched USING (kind, value);
