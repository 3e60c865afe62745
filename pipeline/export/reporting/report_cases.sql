-- One row per case: its state, band, target and age at the time of the report, or when it was closed.
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
    date_diff('minute', clock_start, coalesce(closed_at, $as_of)) / 1440.0 AS age_days,
    date_diff('minute', coalesce(closed_at, $as_of), due_at) / 60.0 AS hours_to_due,
    CASE
        WHEN first_action_at IS NOT NULL THEN first_action_at <= due_at
        WHEN due_at < $as_of AND is_open THEN false
    END AS met_target,
    flagged,
    lowering_pending,
    second_look,
    (SELECT arg_max(s.children, s.safeguarded_id) FROM store_case_safeguarded s WHERE s.case_id = store_cases.case_id) AS children_safeguarded,
    (SELECT arg_max(s.at, s.safeguarded_id) FROM store_case_safeguarded s WHERE s.case_id = store_cases.case_id) AS safeguarded_at,
    coalesce(closed_at, $as_of) AS as_of
FROM store_cases
ORDER BY store_cases.case_id
