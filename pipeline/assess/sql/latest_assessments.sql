SELECT case_id, version, band, score, inputs_sha256, reasons, flags
FROM read_parquet($1, union_by_name = true)
WHERE $2 IS NULL OR case_id = $2
QUALIFY row_number() OVER (PARTITION BY case_id ORDER BY version DESC) = 1
