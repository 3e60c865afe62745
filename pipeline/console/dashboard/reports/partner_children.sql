-- For partners: children safeguarded by year, as people entered them.
-- Numbers are rounded to the nearest 5, and below 5 said as "fewer than 5".
SELECT
    year(safeguarded_at) AS year,
    CASE WHEN sum(children_safeguarded) < 5 THEN 'fewer than 5' ELSE (5 * round(sum(children_safeguarded) / 5.0))::INTEGER::VARCHAR END AS children
FROM report_cases
WHERE children_safeguarded IS NOT NULL
GROUP BY ALL
ORDER BY year
