-- Open cases by band and by how long their clock has run.
WITH aged AS (
    SELECT band, date_diff('minute', clock_start, as_of) / 1440.0 AS age_days FROM report_cases, report_moment WHERE is_open
)
SELECT
    band,
    count(*) FILTER (age_days < 2) AS under_2_days,
    count(*) FILTER (age_days >= 2 AND age_days < 7) AS days_2_to_7,
    count(*) FILTER (age_days >= 7 AND age_days < 30) AS days_7_to_30,
    count(*) FILTER (age_days >= 30 AND age_days < 90) AS days_30_to_90,
    count(*) FILTER (age_days >= 90) AS over_90_days
FROM aged
GROUP BY band
ORDER BY list_position(['very_high', 'high', 'medium', 'low'], band)
