-- One row per request for information.
SELECT
    c.case_id AS owner,
    c.compartment IS NOT NULL AS hidden,
    CASE WHEN c.compartment IS NULL THEN c.case_id END AS case_id,
    c.source,
    q.reason_code,
    q.asked_at,
    q.answered_at,
    date_diff('minute', q.asked_at, q.answered_at) / 1440.0 AS days_open
FROM store_case_requests q
JOIN store_cases c ON c.case_id = q.case_id
ORDER BY q.request_id
