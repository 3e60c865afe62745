-- Open cases by band and by how long their clock has run.
SELECT
    band,
    count(*) FILTER (age_days < 2) AS under_2_days,
    count(*) FILTER (age_days >= 2 AND age_days < 7) AS days_2_to_7,
    count(*) FILTER (age_days >= 7 AND age_days < 30) AS days_7_to_30,
    count(*) FILTER (age_days >= 30 AND age_days < 90) AS days_30_to_90,
    count(*) FILTER (age_days >= 90) AS over_90_days
FROM report_cases
WHERE is_open
GROUP BY band
ORDER BY list_position(['very_high', 'high', 'medium', 'low'], band)
