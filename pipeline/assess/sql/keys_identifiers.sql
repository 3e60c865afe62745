SELECT kind, value, referral_id, source, row_id, subject_id, role, port, seen_at, ambiguous, proxy FROM (
    SELECT CASE
            WHEN i.kind IN ('username', 'user_id') AND service IS NULL THEN 'username_elsewhere'
            ELSE i.kind END AS kind,
        CASE
            WHEN i.kind IN ('username', 'user_id') AND service IS NOT NULL THEN on_service(s.name, i.value)
            WHEN i.kind = 'address' THEN address_value(i.value)
            WHEN i.kind = 'url' THEN url_value(i.value)
            ELSE i.value END AS value,
        i.referral_id, 'identifiers' AS source, identifier_id AS row_id, i.subject_id, role, port, seen_at,
        coalesce(time_ambiguous, false) AS ambiguous, possible_proxy AS proxy
    FROM {identifiers} i LEFT JOIN roles r ON r.subject_id = i.subject_id LEFT JOIN services s ON s.written = service
    UNION ALL
    SELECT 'username_elsewhere', i.value, i.referral_id, 'identifiers', identifier_id, i.subject_id, role, NULL,
        NULL, false, NULL
    FROM {identifiers} i LEFT JOIN roles r ON r.subject_id = i.subject_id
    WHERE i.kind IN ('username', 'user_id') AND service IS NOT NULL
) WHERE value IS NOT NULL
