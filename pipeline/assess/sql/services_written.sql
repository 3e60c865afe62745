SELECT DISTINCT service FROM (SELECT service FROM old_identifiers UNION ALL SELECT service FROM new_identifiers)
WHERE service IS NOT NULL ORDER BY service
