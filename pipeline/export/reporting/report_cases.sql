-- One row per case: its state, band and target, and its age when it was closed. What an open case waits for follows from report_moment:
-- a row that named its age would be another every night, and the table would be written anew for the clock alone. Rows that fall due
-- together lie together, so that few files change a night.
SELECT
    store_cases.case_id AS owner,
    compartment IS NOT NULL AS hidden,
    CASE WHEN compartment IS NULL THEN case_id END AS case_id,
    source,
    coalesce((SELECT origin FROM source_origins o WHERE o.source = store_cases.source), 'reactive_referral') AS origin,
    provider,
    force_code,
    compartment IS NOT NULL AS restricted,
    state,
    is_open,
    outcome,
    band,
    CASE
        WHEN NOT is_open THEN 'closed'
        WHEN due_at <= $as_of - to_hours($critically_overdue_hours) THEN 'critically_overdue'
        WHEN due_at <= $as_of THEN 'overdue'
        WHEN due_at <= $as_of + to_hours($due_soon_hours) THEN 'due_soon'
        ELSE 'not_yet_due'
    END AS urgency,
    clock_start,
    due_at,
    opened_at,
    first_action_at,
    closed_at,
    date_diff('minute', clock_start, closed_at) / 1440.0 AS age_days,
    date_diff('minute', closed_at, due_at) / 60.0 AS hours_to_due,
    CASE
        WHEN first_action_at IS NOT NULL THEN first_action_at <= due_at
        WHEN due_at < $as_of AND is_open THEN false
    END AS met_target,
    flagged,
    lowering_pending,
    second_look,
    (SELECT arg_max(s.children, s.safeguarded_id) FROM store_case_safeguarded s WHERE s.case_id = store_cases.case_id) AS children_safeguarded,
    (SELECT arg_max(s.at, s.safeguarded_id) FROM store_case_safeguarded s WHERE s.case_id = store_cases.case_id) AS safeguarded_at
FROM store_cases
ORDER BY clock_start, store_cases.case_id
