-- Distinct files of each source matched in each known-hash release, by kind of match and grade, and their share of all files.
SELECT
    m.source, m.release, m.kind, m.grade, m.files, m.matches,
    round(100.0 * m.files / nullif(f.files, 0), 1) AS percent_of_files
FROM report_matches m
LEFT JOIN (SELECT source, count(*) AS files FROM report_files GROUP BY source) f ON f.source = m.source
ORDER BY m.release DESC, m.source, m.kind, m.grade
