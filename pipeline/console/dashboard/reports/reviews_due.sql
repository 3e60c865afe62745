-- Supervisor reviews not done yet, by rank and band: overdue, and due in the next four weeks.
SELECT
    v.rank,
    v.band,
    count(*) FILTER (v.overdue) AS overdue,
    count(*) FILTER (NOT v.overdue AND v.due_at < c.as_of + INTERVAL 28 DAY) AS due_in_four_weeks,
    min(v.due_at) AS oldest_due
FROM report_reviews v, (SELECT max(as_of) AS as_of FROM report_moment) c
WHERE v.done_at IS NULL
GROUP BY v.rank, v.band
HAVING overdue > 0 OR due_in_four_weeks > 0
ORDER BY v.rank, list_position(['very_high', 'high', 'medium', 'low'], v.band)
