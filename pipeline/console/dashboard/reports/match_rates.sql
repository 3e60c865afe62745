-- Share of media files of each source that are known (exactly or by a claimed digest), near a known one, or unknown.
SELECT
    source,
    count(*) AS files,
    count(*) FILTER (known) AS known,
    count(*) FILTER (NOT known AND match_kind IS NOT NULL) AS near,
    count(*) FILTER (match_kind IS NULL) AS unmatched,
    round(100.0 * count(*) FILTER (match_kind IS NOT NULL) / count(*), 1) AS matched_percent
FROM report_files
GROUP BY source
ORDER BY source
