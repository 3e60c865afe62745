-- Reasons and flags of the highest version of each case.
SELECT case_id, reasons, flags
FROM read_parquet($1, union_by_name = true) SEMI JOIN (
    SELECT case_id, max(version) AS version FROM read_parquet($1, union_by_name = true)
    WHERE $2 IS NULL OR case_id = $2 GROUP BY case_id
) USING (case_id, version)
