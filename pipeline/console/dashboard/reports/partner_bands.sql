-- For partners: open cases by band. Numbers are rounded to the nearest 5, and below 5 said as "fewer than 5".
SELECT
    band,
    CASE WHEN count(*) < 5 THEN 'fewer than 5' ELSE (5 * round(count(*) / 5.0))::INTEGER::VARCHAR END AS open_cases
FROM report_cases
WHERE is_open
GROUP BY band
ORDER BY list_position(['very_high', 'high', 'medium', 'low'], band)
