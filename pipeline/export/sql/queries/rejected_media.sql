-- Media files without perceptual hashes, by state and reason.
SELECT state, coalesce(reason, 'none') AS reason, count(*) AS contents
FROM fingerprints
WHERE state <> 'hashed'
GROUP BY ALL
ORDER BY contents DESC, state, reason
