-- As similar_written, with the entries of the force's lists.
SELECT 'forename' AS kind, value FROM (
    SELECT DISTINCT forename(name) AS value FROM (
        SELECT name, date_of_birth FROM written_subjects UNION ALL SELECT raw, second FROM entries WHERE kind = 'person'
    ) WHERE name IS NOT NULL AND person_value(name, date_of_birth) IS NOT NULL
) WHERE value IS NOT NULL
UNION ALL
SELECT DISTINCT i.kind, i.value FROM (
    SELECT kind, value FROM written_identifiers UNION ALL SELECT kind, raw FROM entries
) i WHERE i.kind = 'address' OR i.kind = 'email' AND several_spellings(i.value)
