SELECT DISTINCT value FROM (
    SELECT kind, value FROM old_identifiers UNION ALL SELECT kind, value FROM new_identifiers
) WHERE kind = 'url' ORDER BY ALL
