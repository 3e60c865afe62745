SELECT 'file_hash' AS kind, unnest(list_filter([
        'sha256:' || lower(hex(coalesce(sha256, claimed_sha256))), 'md5:' || lower(hex(claimed_md5)),
        'sha1:' || lower(hex(claimed_sha1))], lambda x: x IS NOT NULL)) AS value,
    referral_id, 'media_files' AS source, file_id AS row_id, NULL::VARCHAR AS subject_id, NULL::VARCHAR AS role, NULL::INTEGER AS port, NULL::TIMESTAMPTZ AS seen_at, false AS ambiguous, NULL::VARCHAR AS proxy
FROM {media_files}
