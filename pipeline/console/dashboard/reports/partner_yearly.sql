-- For partners: cases opened each year by origin.
-- Numbers are rounded to the nearest 5, and below 5 said as "fewer than 5", so that no person can be recognised and no small
-- number follows from others.
SELECT
    year(opened_at) AS year,
    origin,
    CASE WHEN count(*) < 5 THEN 'fewer than 5' ELSE (5 * round(count(*) / 5.0))::INTEGER::VARCHAR END AS cases
FROM report_cases
GROUP BY year(opened_at), origin
ORDER BY year(opened_at), list_position(['reactive_referral', 'proactive_investigation'], origin)
