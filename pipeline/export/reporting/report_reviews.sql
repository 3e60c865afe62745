-- One row per review that is due or done.
SELECT
    c.case_id AS owner,
    c.compartment IS NOT NULL AS hidden,
    CASE WHEN c.compartment IS NULL THEN c.case_id END AS case_id,
    c.band,
    v.rank,
    v.due_at,
    v.done_at,
    v.done_at IS NULL AND v.due_at < $as_of AS overdue
FROM store_case_reviews v
JOIN store_cases c ON c.case_id = v.case_id
ORDER BY c.clock_start, v.review_id
