INSERT INTO kept.keys
    SELECT key_digest(kind, value), kind, value, referral_id, source, row_id, subject_id, role, port, seen_at, ambiguous, proxy
    FROM new_keys WHERE kind <> 'mailbox';
INSERT INTO kept.special SELECT DISTINCT written, value FROM special_found EXCEPT SELECT written, value FROM kept.special;
