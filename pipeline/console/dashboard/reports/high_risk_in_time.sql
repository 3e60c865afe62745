-- Very high and high cases by the month in which they were opened, and whether the first action came in time.
-- It came by the target, came later or has not come although the target has passed, or is not due yet. The percentage is of
-- those whose target has been met or missed.
SELECT
    strftime(date_trunc('month', opened_at), '%Y-%m') AS month,
    count(*) AS cases,
    count(*) FILTER (met_target) AS in_time,
    count(*) FILTER (NOT met_target) AS late,
    count(*) FILTER (met_target IS NULL) AS not_due_yet,
    round(100.0 * count(*) FILTER (met_target) / nullif(count(met_target), 0), 1) AS in_time_percent
FROM report_cases
WHERE band IN ('very_high', 'high')
GROUP BY ALL
ORDER BY month
