-- Packages that arrived, by source and the state they ended in.
SELECT source, state, count(*) AS packages, sum(files)::BIGINT AS files, sum(defects)::BIGINT AS defects
FROM report_packages
GROUP BY source, state
ORDER BY source, state
