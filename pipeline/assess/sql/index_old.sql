-- The keys of all that is linked already.
INSERT INTO kept.keys
    SELECT key_digest(kind, value), kind, value, referral_id, source, row_id, subject_id, role, port, seen_at, ambiguous, proxy
    FROM ({old}) WHERE kind <> 'mailbox';
