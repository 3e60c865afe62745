-- One row per file of a referral and match that it has: what report_matches counts.
WITH owned AS (  -- a match names a file, or else a content: one equality for both, so that the join can hash
    SELECT file_id, referral_id, file_id AS owner FROM media_files
    UNION ALL
    SELECT file_id, referral_id, sha256::VARCHAR FROM media_files WHERE sha256 IS NOT NULL
)
SELECT
    f.referral_id AS owner,
    f.referral_id IN (SELECT referral_id FROM hidden_referrals) AS hidden,
    r.source, m.release, m.kind, m.grade, f.file_id, m.match_id
FROM matches m
JOIN owned f ON f.owner = coalesce(m.file_id, m.sha256::VARCHAR)
JOIN (SELECT DISTINCT referral_id, source FROM referrals) r ON r.referral_id = f.referral_id
