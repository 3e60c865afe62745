SELECT DISTINCT kind, value, referral_id, source, row_id, subject_id, role, port, seen_at, ambiguous, proxy
FROM affected SEMI JOIN sizes USING (kind, value)
    SEMI JOIN (SELECT DISTINCT unnest([a, b]) AS referral_id FROM pairs) USING (referral_id)
ORDER BY ALL
