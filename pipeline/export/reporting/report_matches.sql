-- One row per source, release, kind and grade with the number of distinct files.
WITH owned AS (  -- a match names a file, or else a content: one equality for both, so that the join can hash
    SELECT file_id, referral_id, file_id AS owner FROM media_files
    UNION ALL
    SELECT file_id, referral_id, sha256::VARCHAR FROM media_files WHERE sha256 IS NOT NULL
)
SELECT r.source, m.release, m.kind, m.grade, count(DISTINCT f.file_id) AS files, count(DISTINCT m.match_id) AS matches
FROM matches m
JOIN owned f ON f.owner = coalesce(m.file_id, m.sha256::VARCHAR)
JOIN (SELECT DISTINCT referral_id, source FROM referrals) r ON r.referral_id = f.referral_id
GROUP BY ALL
ORDER BY ALL
