WITH wanted AS (
    SELECT list, entry, kind, CASE kind
        WHEN 'person' THEN person_value(raw, second) WHEN 'address' THEN address_value(raw) ELSE raw END AS value
    FROM entries
)
SELECT DISTINCT referral_id, list, entry, kind, source, row_id
FROM ({keys}) k JOIN wanted w USING (kind, value)
WHERE kind = 'address' OR role IS NULL OR role NOT IN (SELECT role FROM not_persons)
ORDER BY ALL
