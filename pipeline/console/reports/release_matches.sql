-- Distinct files matched in each known-hash release, by kind of match and grade.
SELECT release, kind, grade, sum(files)::BIGINT AS files, sum(matches)::BIGINT AS matches
FROM report_matches
GROUP BY release, kind, grade
ORDER BY release DESC, kind, grade
