-- Open cases by band and source, with the oldest clock start of each.
SELECT band, source, count(*) AS cases, count(*) FILTER (urgency IN ('overdue', 'critically_overdue')) AS overdue, min(clock_start) AS oldest
FROM report_cases
WHERE is_open
GROUP BY band, source
ORDER BY list_position(['very_high', 'high', 'medium', 'low'], band), source
