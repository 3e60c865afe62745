-- Closed cases by year of closing and outcome, and how many of them were very high or high.
SELECT
    year(closed_at) AS year,
    coalesce(outcome, 'none recorded') AS outcome,
    count(*) AS cases,
    count(*) FILTER (band IN ('very_high', 'high')) AS high_risk
FROM report_cases
WHERE closed_at IS NOT NULL AND state = 'closed'
GROUP BY ALL
ORDER BY year DESC, cases DESC, outcome
