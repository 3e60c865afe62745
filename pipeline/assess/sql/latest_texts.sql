-- Reasons and flags of the highest version of each case.
SELECT case_id, reasons, flags
FROM assessments SEMI JOIN (SELECT case_id, max(version) AS version FROM assessments GROUP BY case_id)
    USING (case_id, version)
