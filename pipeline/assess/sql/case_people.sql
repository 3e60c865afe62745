-- What the persons of a case say by their ages, occupations and addresses: case, fact, and up to {sample} subject rows.
WITH people AS (
    SELECT m.case_id, p.subject_id, p.role, lower(coalesce(p.occupation, '')) AS work,
        coalesce(date_sub('year', TRY_CAST(p.date_of_birth AS DATE), CAST(r.force_received_at AS DATE)), p.approximate_age)
            AS years
    FROM persons p JOIN members m USING (referral_id) JOIN received r USING (referral_id)
), homes AS (
    SELECT DISTINCT m.case_id, p.subject_id, p.role, address_value(h.value) AS home
    FROM homes_stated h JOIN persons p USING (subject_id) JOIN members m ON m.referral_id = h.referral_id
    WHERE p.role IN ('suspect', 'victim')
), found AS (
    SELECT case_id, 'suspect_is_child' AS name, subject_id FROM people WHERE role = 'suspect' AND years < 18
    UNION ALL
    SELECT case_id, 'young_victim', subject_id FROM people WHERE role = 'victim' AND years < {young}
    UNION ALL
    SELECT v.case_id, 'victim_at_address', v.subject_id FROM homes v
    JOIN homes s ON s.case_id = v.case_id AND s.home = v.home AND s.role = 'suspect' WHERE v.role = 'victim'
    UNION ALL
    SELECT p.case_id, o.fact, p.subject_id FROM people p JOIN occupations o
        ON regexp_matches(p.work, '\b' || o.word || '\b')
    WHERE p.role = 'suspect' AND p.work <> ''
)
SELECT case_id, name, min(subject_id, {sample}) AS rows, count(DISTINCT subject_id)::INTEGER AS total
FROM found GROUP BY ALL ORDER BY case_id, name
