-- The keys of earlier nights among which all are that stand in {among}: those of the kept index by the digest of kind and value,
-- which is compared without reading the values of all nights; those of mailboxes as they are made.
SELECT kind, value, referral_id, source, row_id, subject_id, role, port, seen_at, ambiguous, proxy FROM kept.keys
    SEMI JOIN (SELECT hash(kind, value) AS digest FROM {among}) USING (digest)
UNION ALL
{mailboxes}
