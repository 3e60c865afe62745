-- The highest version of each case. Without the long texts: most cases of a night have not changed and need none.
SELECT case_id, max(version) AS version, arg_max(band, version) AS band, arg_max(score, version) AS score,
    arg_max(inputs_sha256, version) AS inputs_sha256
FROM read_parquet($1, union_by_name = true)
WHERE $2 IS NULL OR case_id = $2
GROUP BY case_id
