-- One row a source, release, kind and grade with the number of distinct files.
SELECT r.source, m.release, m.kind, m.grade, count(DISTINCT f.file_id) AS files, count(DISTINCT m.match_id) AS matches
FROM matches m
JOIN media_files f ON f.file_id = m.file_id OR (m.file_id IS NULL AND f.sha256 = m.sha256)
JOIN (SELECT DISTINCT referral_id, source FROM referrals) r ON r.referral_id = f.referral_id
GROUP BY ALL
ORDER BY ALL
