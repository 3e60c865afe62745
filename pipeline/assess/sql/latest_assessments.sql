-- The highest version of each case. Without the long texts: most cases of a night have not changed and need none.
SELECT case_id, max(version) AS version, arg_max(band, version) AS band, arg_max(score, version) AS score,
    arg_max(inputs_sha256, version) AS inputs_sha256
FROM assessments
GROUP BY case_id
