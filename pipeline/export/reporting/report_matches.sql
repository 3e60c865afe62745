-- One row per source, release, kind and grade with the number of distinct files.
SELECT source, release, kind, grade, count(DISTINCT file_id) AS files, count(DISTINCT match_id) AS matches
FROM matched
GROUP BY ALL
ORDER BY ALL
