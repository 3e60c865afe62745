-- The last 14 runs: whether every count reconciles, canaries found and parts verified.
SELECT
    run_id, as_of, count(*) AS checks, count(*) FILTER (NOT holds) AS differ,
    any_value(canary_indexes) AS canary_indexes, any_value(parts_verified) AS parts_verified
FROM report_checks
GROUP BY run_id, as_of
ORDER BY as_of DESC, run_id DESC
LIMIT 14
