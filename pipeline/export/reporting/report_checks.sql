-- One row per run and check: what went in equals what came out.
SELECT run_id AS owner, false AS hidden, run_id, as_of, "check", "into", "out", holds, canary_indexes, parts_verified
FROM run_checks
ORDER BY as_of, run_id, line
