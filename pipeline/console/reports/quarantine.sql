-- Packages in quarantine by reason, with the longest time one has waited.
SELECT reason, count(*) AS packages, min(first_seen) AS oldest
FROM (SELECT unnest(string_split(coalesce(reasons, 'no reason recorded'), '; ')) AS reason, first_seen FROM report_packages WHERE state = 'quarantined')
GROUP BY reason
ORDER BY packages DESC, reason
