SELECT 'supplement' AS kind, unnest([referral_id, supplements]) AS value, referral_id, 'referrals' AS source,
    referral_id AS row_id, NULL::VARCHAR AS subject_id, NULL::VARCHAR AS role, NULL::INTEGER AS port, NULL::TIMESTAMPTZ AS seen_at, false AS ambiguous, NULL::VARCHAR AS proxy
FROM {referrals} WHERE supplements IS NOT NULL AND supplements <> referral_id
UNION ALL
SELECT 'supplement', referral_id, referral_id, 'referrals', referral_id, NULL::VARCHAR AS subject_id, NULL::VARCHAR AS role, NULL::INTEGER AS port, NULL::TIMESTAMPTZ AS seen_at, false AS ambiguous, NULL::VARCHAR AS proxy FROM {referrals}
