-- A claimed match is keyed by the SHA-256 of its file's id, since the content was not sent.
SELECT DISTINCT 'known_media' AS kind, media_key::VARCHAR AS value, f.referral_id, 'media_files' AS source,
    f.file_id AS row_id, NULL::VARCHAR AS subject_id, NULL::VARCHAR AS role, NULL::INTEGER AS port,
    NULL::TIMESTAMPTZ AS seen_at, false AS ambiguous, NULL::VARCHAR AS proxy
FROM {matches} m
JOIN (
    SELECT file_id, referral_id,
        CASE WHEN sha256 IS NULL THEN unhex(sha256(file_id)) ELSE sha256 END AS content
    FROM {media_files}
) f ON f.content = m.sha256
WHERE m.kind IN ('exact', 'claimed') AND grade IN ('TRUSTED', 'INDICATIVE', 'DISPUTED')
    AND coalesce(category, 'UNMAPPED') NOT IN ('NON_PERTINENT', 'COMPARISON')
