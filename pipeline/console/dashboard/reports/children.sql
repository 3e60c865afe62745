-- Children safeguarded, as people entered them on their cases, by the year of the entry.
-- Nothing is estimated: a case on which nobody has entered a number is in neither column.
SELECT year(safeguarded_at) AS year, sum(children_safeguarded)::BIGINT AS children, count(*) AS cases
FROM report_cases
WHERE children_safeguarded IS NOT NULL
GROUP BY ALL
ORDER BY year
