SELECT 'person' AS kind, person_value(name, date_of_birth) AS value, referral_id, 'subjects' AS source,
    subject_id AS row_id, subject_id, role, NULL::INTEGER AS port, NULL::TIMESTAMPTZ AS seen_at, false AS ambiguous, NULL::VARCHAR AS proxy
FROM {subjects} WHERE name IS NOT NULL AND date_of_birth IS NOT NULL
    AND person_value(name, date_of_birth) IS NOT NULL
