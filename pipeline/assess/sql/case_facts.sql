-- What is said of one file is read with the file (case_files.sql), where it is seen whether the file is known.
-- Within one referral: a yes of anyone wins, then an unknown, then a no. Between the referrals of a case a later no
-- answers an earlier unknown, and never a yes.
WITH answered AS (
    SELECT case_id, referral_id, name, bool_or(value = 'yes') AS yes, bool_and(value = 'no') AS no,
        count(*) FILTER (value = 'yes') AS yeses, min(fact_id, {sample}) FILTER (value = 'yes') AS yes_rows,
        min(fact_id, {sample}) FILTER (value = 'no') AS no_rows
    FROM stated JOIN members USING (referral_id) LEFT JOIN (SELECT subject_id, role FROM persons) USING (subject_id)
    WHERE file_id IS NULL AND NOT (list_contains($1, name) AND role IS NOT NULL AND list_contains($2, role))
    GROUP BY ALL
)
SELECT case_id, name, bool_or(yes) AS yes, sum(yeses)::INTEGER AS total,
    coalesce(flatten(list(yes_rows ORDER BY referral_id) FILTER (yes)), []) AS yes_rows,
    coalesce(flatten(list(no_rows ORDER BY referral_id) FILTER (no)), []) AS no_rows
FROM answered GROUP BY ALL HAVING bool_or(yes) OR bool_or(no) ORDER BY case_id, name
