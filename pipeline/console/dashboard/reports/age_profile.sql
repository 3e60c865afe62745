-- Open cases by band and by where they stand against their target.
WITH aged AS (
    SELECT band, urgency, date_diff('minute', clock_start, as_of) / 1440.0 AS age_days FROM report_cases, report_moment WHERE is_open
)
SELECT
    band,
    count(*) FILTER (urgency = 'critically_overdue') AS critically_overdue,
    count(*) FILTER (urgency = 'overdue') AS overdue,
    count(*) FILTER (urgency = 'due_soon') AS due_soon,
    count(*) FILTER (urgency = 'not_yet_due') AS not_yet_due,
    round(median(age_days), 1) AS median_age_days,
    round(max(age_days), 1) AS oldest_days
FROM aged
GROUP BY band
ORDER BY list_position(['very_high', 'high', 'medium', 'low'], band)
