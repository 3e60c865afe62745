-- The keys of all that is linked already.
INSERT INTO kept.keys
    SELECT (hash(kind, value) & 4294967295)::UINTEGER, kind, value, referral_id, source, row_id, subject_id, role, port, seen_at, ambiguous, proxy
    FROM ({old}) WHERE kind <> 'mailbox';
