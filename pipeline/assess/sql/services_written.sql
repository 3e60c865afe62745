SELECT DISTINCT service FROM written_identifiers WHERE service IS NOT NULL ORDER BY service
