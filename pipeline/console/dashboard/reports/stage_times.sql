-- Hours from the incident to the first action, stage by stage: median, nine in ten, longest.
SELECT
    stage,
    count(*) AS cases,
    round(median(hours), 1) AS median_hours,
    round(quantile_cont(hours, 0.9), 1) AS nine_in_ten_hours,
    round(max(hours), 1) AS longest_hours,
    count(*) FILTER (hours < 0) AS contradictory
FROM report_stage_times
GROUP BY stage, position
ORDER BY position
