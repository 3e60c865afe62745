-- Cases by the band of their latest assessment; a case that has joined another stands in none.
SELECT band, count(*)::INTEGER AS n
FROM (SELECT case_id, arg_max(band, version) AS band FROM assessments GROUP BY case_id) ANTI JOIN joined USING (case_id)
GROUP BY band
