SELECT 'file_hash' AS kind, value, referral_id, 'media_files' AS source, file_id AS row_id, NULL::VARCHAR AS subject_id, NULL::VARCHAR AS role, NULL::INTEGER AS port, NULL::TIMESTAMPTZ AS seen_at, false AS ambiguous, NULL::VARCHAR AS proxy
FROM (
    SELECT 'sha256:' || lower(hex(coalesce(sha256, claimed_sha256))) AS value, referral_id, file_id FROM {media_files}
    WHERE sha256 IS NOT NULL OR claimed_sha256 IS NOT NULL
    UNION ALL
    SELECT 'md5:' || lower(hex(claimed_md5)), referral_id, file_id FROM {media_files} WHERE claimed_md5 IS NOT NULL
    UNION ALL
    SELECT 'sha1:' || lower(hex(claimed_sha1)), referral_id, file_id FROM {media_files} WHERE claimed_sha1 IS NOT NULL
)
