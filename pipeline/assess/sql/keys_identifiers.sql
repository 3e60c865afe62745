SELECT kind, value, referral_id, source, row_id, subject_id, role, port, seen_at, ambiguous, proxy FROM (
    SELECT CASE
            WHEN i.kind IN ('username', 'user_id') AND service IS NULL THEN 'username_elsewhere'
            ELSE i.kind END AS kind,
        CASE
            WHEN i.kind = 'user_id' AND s.name IN (SELECT name FROM exact_services)
                THEN on_service(s.name, trim(i.original))
            WHEN i.kind IN ('username', 'user_id') AND service IS NOT NULL THEN on_service(s.name, i.value)
            WHEN i.kind = 'address' THEN address_value(i.value)
            WHEN i.kind = 'url' AND web.written IS NOT NULL THEN url_exact(i.original)
            WHEN i.kind = 'url' THEN url_value(i.value)
            ELSE i.value END AS value,
        i.referral_id, 'identifiers' AS source, identifier_id AS row_id, i.subject_id, role, port, seen_at,
        coalesce(time_ambiguous, false) AS ambiguous, possible_proxy AS proxy
    FROM {identifiers} i LEFT JOIN roles r ON r.subject_id = i.subject_id LEFT JOIN services s ON s.written = service
        LEFT JOIN exact_urls web ON i.kind = 'url' AND web.written = i.value
    UNION ALL
    SELECT 'username_elsewhere', i.value, i.referral_id, 'identifiers', identifier_id, i.subject_id, role, NULL,
        NULL, false, NULL
    FROM {identifiers} i LEFT JOIN roles r ON r.subject_id = i.subject_id
    WHERE i.kind IN ('username', 'user_id') AND service IS NOT NULL
    UNION ALL -- of services that tell upper and lower case apart: the same but for that
    SELECT 'other_case', CASE i.kind WHEN 'url' THEN url_value(i.value) ELSE on_service(s.name, i.value) END,
        i.referral_id, 'identifiers', identifier_id, i.subject_id, role, NULL, NULL, false, NULL
    FROM {identifiers} i LEFT JOIN roles r ON r.subject_id = i.subject_id LEFT JOIN services s ON s.written = service
        LEFT JOIN exact_urls web ON i.kind = 'url' AND web.written = i.value
    WHERE i.kind = 'user_id' AND s.name IN (SELECT name FROM exact_services) OR web.written IS NOT NULL
    UNION ALL -- several ways of writing one mailbox
    SELECT 'mailbox', coalesce(m.value, i.value), i.referral_id, 'identifiers', identifier_id, i.subject_id, role, NULL,
        NULL, false, NULL
    FROM {identifiers} i LEFT JOIN roles r ON r.subject_id = i.subject_id LEFT JOIN special_mailboxes m ON m.written = i.value
    WHERE i.kind = 'email' AND (m.value IS NOT NULL OR i.value IN (SELECT value FROM special_mailboxes))
    UNION ALL -- house, street and town, for addresses without a postcode
    SELECT 'address_street', a.value, i.referral_id, 'identifiers', identifier_id, i.subject_id, role, NULL, NULL, false, NULL
    FROM {identifiers} i LEFT JOIN roles r ON r.subject_id = i.subject_id JOIN street_keys a ON a.written = i.value
    WHERE i.kind = 'address'
) WHERE value IS NOT NULL
