-- One row per run and stage: what came in, what went on, and how fast.
SELECT
    run_id AS owner, false AS hidden, run_id, as_of, stage, sum(read)::BIGINT AS read, sum(kept)::BIGINT AS kept, sum(rejected)::BIGINT AS rejected,
    sum(seconds) AS seconds, sum(cpu_seconds) AS cpu_seconds,
    CASE WHEN sum(seconds) >= 0.05 THEN sum(read) / sum(seconds) END AS per_second
FROM run_stages
GROUP BY run_id, as_of, stage
ORDER BY as_of, run_id, min(line)
