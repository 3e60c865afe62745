-- What similar spellings are looked up for: first names of persons with a date of birth, addresses, and e-mail addresses
-- that are written in a way of which there are several for one mailbox.
SELECT 'forename' AS kind, value FROM (
    SELECT DISTINCT forename(name) AS value FROM written_subjects WHERE name IS NOT NULL AND person_value(name, date_of_birth) IS NOT NULL
) WHERE value IS NOT NULL
UNION ALL
SELECT DISTINCT kind, value FROM written_identifiers WHERE kind = 'address' OR kind = 'email' AND several_spellings(value)
