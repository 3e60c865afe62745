-- The last 14 runs, stage by stage: what came in, what went on, and items a second.
SELECT run_id, as_of, stage, read, kept, rejected, round(seconds, 1) AS seconds, round(cpu_seconds, 1) AS cpu_seconds, round(per_second, 1) AS per_second
FROM report_runs
WHERE run_id IN (SELECT run_id FROM report_runs GROUP BY run_id ORDER BY max(as_of) DESC, run_id DESC LIMIT 14)
ORDER BY as_of DESC, run_id DESC
