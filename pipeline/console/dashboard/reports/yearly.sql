-- Cases opened each year, reactive referrals (reported to us) and proactive investigations (found by covert work or a group) apart.
-- The change is on the year before; the running year is compared with the same days of the year before.
WITH edge AS (SELECT max(as_of) AS today FROM report_moment),
counted AS (
    SELECT
        year(c.opened_at) AS year,
        coalesce(c.origin, 'all') AS origin,
        count(*) AS cases,
        count(*) FILTER (c.opened_at <= e.today - to_years((year(e.today) - year(c.opened_at))::INTEGER)) AS to_this_day,
        any_value(year(e.today)) AS this_year
    FROM report_cases c, edge e
    GROUP BY GROUPING SETS ((year(c.opened_at), c.origin), (year(c.opened_at)))
)
SELECT
    n.year,
    n.origin,
    n.cases,
    CASE WHEN n.year = n.this_year THEN b.to_this_day ELSE b.cases END AS year_before,
    round(100.0 * (n.cases / nullif(CASE WHEN n.year = n.this_year THEN b.to_this_day ELSE b.cases END, 0) - 1), 1) AS change_percent
FROM counted n
LEFT JOIN counted b ON b.year = n.year - 1 AND b.origin = n.origin
ORDER BY n.year, list_position(['reactive_referral', 'proactive_investigation', 'all'], n.origin)
