SELECT DISTINCT value FROM written_identifiers WHERE kind = 'url' ORDER BY ALL
