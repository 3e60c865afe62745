-- A report and the referral that it extends; and the number of each report with the numbers that it names as earlier ones,
-- for those that were not held when it came.
SELECT 'supplement' AS kind, unnest([referral_id, supplements]) AS value, referral_id, 'referrals' AS source,
    referral_id AS row_id, NULL::VARCHAR AS subject_id, NULL::VARCHAR AS role, NULL::INTEGER AS port, NULL::TIMESTAMPTZ AS seen_at, false AS ambiguous, NULL::VARCHAR AS proxy
FROM {referrals} WHERE supplements IS NOT NULL AND supplements <> referral_id
UNION ALL
SELECT 'supplement', referral_id, referral_id, 'referrals', referral_id, NULL::VARCHAR AS subject_id, NULL::VARCHAR AS role, NULL::INTEGER AS port, NULL::TIMESTAMPTZ AS seen_at, false AS ambiguous, NULL::VARCHAR AS proxy FROM {referrals}
UNION ALL
SELECT 'supplement', 'report:' || CASE WHEN source IN ('NCA_NCMEC', 'NCA_DRB') THEN 'NCA' ELSE source END || ':' || number,
    referral_id, origin, referral_id, NULL::VARCHAR AS subject_id, NULL::VARCHAR AS role, NULL::INTEGER AS port, NULL::TIMESTAMPTZ AS seen_at, false AS ambiguous, NULL::VARCHAR AS proxy FROM (
    SELECT source, referral_id, source_reference AS number, 'referrals:own' AS origin FROM {referrals}
    UNION ALL SELECT source, referral_id, unnest(prior_references), 'referrals' FROM {referrals}
) WHERE number IS NOT NULL
