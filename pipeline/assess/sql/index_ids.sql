-- Of the kept ones only those that are new too are held against what is new.
INSERT INTO kept.ids FROM new_ids ANTI JOIN (FROM kept.ids SEMI JOIN new_ids USING (case_id)) USING (case_id, referral_id)
