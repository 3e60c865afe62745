-- Packages that arrived, by landing folder and the state they ended in.
SELECT landing_folder, state, count(*) AS packages, sum(files)::BIGINT AS files, sum(defects)::BIGINT AS defects
FROM report_packages
GROUP BY landing_folder, state
ORDER BY landing_folder, state
