-- Hashed media files that no release knows, by source, with how many are seen in one referral only.
WITH held AS (
    SELECT f.sha256, any_value(r.source) AS source, count(DISTINCT f.referral_id) AS referrals
    FROM media_files f
    JOIN (SELECT DISTINCT referral_id, source FROM referrals) r ON r.referral_id = f.referral_id
    WHERE f.sha256 IS NOT NULL
    GROUP BY f.sha256
)
SELECT h.source, count(*) AS contents, count(*) FILTER (h.referrals = 1) AS in_one_referral_only
FROM held h
JOIN fingerprints p ON p.sha256 = h.sha256 AND p.state IN ('hashed', 'partial')
WHERE h.sha256 NOT IN (SELECT sha256 FROM matches)
GROUP BY h.source
ORDER BY contents DESC, h.source
