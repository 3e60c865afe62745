-- For partners: the share of very high and high cases of each year acted on in time, in steps of 5 %.
-- Of those whose target has been met or missed; not said of fewer than 20 cases, of which a share would tell single ones.
SELECT
    year(opened_at) AS year,
    CASE WHEN count(met_target) < 20 THEN 'too few to say' ELSE (5 * round(20.0 * count(*) FILTER (met_target) / count(met_target)))::INTEGER::VARCHAR || ' %' END AS acted_on_in_time
FROM report_cases
WHERE band IN ('very_high', 'high')
GROUP BY ALL
ORDER BY year
