-- Cases opened and closed in each of the last 26 weeks (weeks begin on Monday).
WITH edge AS (SELECT date_trunc('week', max(as_of)) AS last FROM report_moment),
weeks AS (SELECT unnest(generate_series(last - INTERVAL 25 WEEK, last, INTERVAL 1 WEEK)) AS week FROM edge WHERE last IS NOT NULL),
opened AS (SELECT date_trunc('week', opened_at) AS week, count(*) AS n FROM report_cases GROUP BY ALL),
closed AS (SELECT date_trunc('week', closed_at) AS week, count(*) AS n FROM report_cases WHERE closed_at IS NOT NULL GROUP BY ALL)
SELECT strftime(w.week, '%Y-%m-%d') AS week_beginning, coalesce(o.n, 0) AS opened, coalesce(c.n, 0) AS closed
FROM weeks w
LEFT JOIN opened o ON o.week = w.week
LEFT JOIN closed c ON c.week = w.week
ORDER BY w.week
