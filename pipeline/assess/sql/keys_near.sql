-- The keys of earlier nights among which all are that stand in {among}: those of the kept index by the digest of kind and value,
-- which is compared without reading the values of all nights; those of mailboxes as they are made. Which rows have such a digest
-- is found first: a scan that compares and takes at once reads every column of every row.
SELECT kind, value, referral_id, source, row_id, subject_id, role, port, seen_at, ambiguous, proxy FROM kept.keys
WHERE rowid IN (
    SELECT k.rowid FROM kept.keys k SEMI JOIN (SELECT (hash(kind, value) & 4294967295)::UINTEGER AS digest FROM {among}) USING (digest)
)
UNION ALL
{mailboxes}
