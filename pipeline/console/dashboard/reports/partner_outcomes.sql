-- For partners: closed cases by year and outcome. Numbers are rounded to the nearest 5, and below 5 said as "fewer than 5".
SELECT
    year(closed_at) AS year,
    coalesce(outcome, 'none recorded') AS outcome,
    CASE WHEN count(*) < 5 THEN 'fewer than 5' ELSE (5 * round(count(*) / 5.0))::INTEGER::VARCHAR END AS cases
FROM report_cases
WHERE closed_at IS NOT NULL AND state = 'closed'
GROUP BY ALL
ORDER BY year DESC, outcome
