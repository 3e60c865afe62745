-- The backlog of each band if the next weeks are like the last eight.
-- Open now, opened and closed a week on average of those eight, and open in 4 and 12 weeks. A forecast, not a promise: it knows
-- of no new release and of no leave.
WITH edge AS (SELECT max(as_of) AS today FROM report_moment),
counted AS (
    SELECT
        c.band,
        count(*) FILTER (c.is_open) AS open_now,
        count(*) FILTER (c.opened_at > e.today - INTERVAL 56 DAY) / 8.0 AS opened,
        count(*) FILTER (c.closed_at > e.today - INTERVAL 56 DAY) / 8.0 AS closed
    FROM report_cases c, edge e
    GROUP BY c.band
)
SELECT
    band,
    open_now,
    round(opened, 1) AS opened_a_week,
    round(closed, 1) AS closed_a_week,
    greatest(0, round(open_now + 4 * (opened - closed)))::BIGINT AS in_4_weeks,
    greatest(0, round(open_now + 12 * (opened - closed)))::BIGINT AS in_12_weeks
FROM counted
ORDER BY list_position(['very_high', 'high', 'medium', 'low'], band)
