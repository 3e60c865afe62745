SELECT * FROM (
WITH written AS MATERIALIZED (
    SELECT person_value(name, date_of_birth) AS person, surname(name) AS last, forename(name) AS first, date_of_birth, referral_id,
        subject_id, role
    FROM {subjects} WHERE name IS NOT NULL AND date_of_birth IS NOT NULL
), named AS (
    SELECT * FROM written WHERE person IS NOT NULL AND split_part(person, '|', 1) NOT IN (SELECT value FROM nobody)
), forms AS (
    SELECT 'person' AS kind, person AS value, referral_id, subject_id, role FROM named
    UNION ALL
    SELECT 'person_first_and_last', first || ' ' || last || '|' || date_of_birth, referral_id, subject_id, role FROM named
    WHERE length(first) > 1 AND length(last) > 1
    UNION ALL
    SELECT 'person_short_name', f.value || ' ' || last || '|' || date_of_birth, referral_id, subject_id, role
    FROM named JOIN first_names f ON f.written = first WHERE length(f.value) > 1 AND length(last) > 1
    UNION ALL
    SELECT 'person_surname', last || '|' || date_of_birth, referral_id, subject_id, role FROM named WHERE length(last) > 1
)
SELECT DISTINCT kind, value, referral_id, 'subjects' AS source, subject_id AS row_id, subject_id, role,
    NULL::INTEGER AS port, NULL::TIMESTAMPTZ AS seen_at, false AS ambiguous, NULL::VARCHAR AS proxy
FROM forms
)
