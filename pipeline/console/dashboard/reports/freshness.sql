-- How old the newest of each thing was when the figures were written, in hours.
WITH newest AS (
    SELECT 1 AS place, 'run' AS what, max(as_of) AS newest FROM report_runs
    UNION ALL SELECT 2, 'package', max(first_seen) FROM report_packages
    UNION ALL SELECT 3, 'case_opened', max(opened_at) FROM report_cases
    UNION ALL SELECT 4, 'first_action', max(first_action_at) FROM report_cases
)
SELECT what, newest, round(date_diff('minute', newest, (SELECT max(as_of) FROM report_moment)) / 60.0, 1) AS hours_old
FROM newest
ORDER BY place
