-- What similar spellings are looked up for: first names of persons with a date of birth, addresses, and e-mail addresses
-- that are written in a way of which there are several for one mailbox.
SELECT DISTINCT 'forename' AS kind, forename(name) AS value FROM (
    SELECT name, date_of_birth FROM old_subjects UNION ALL SELECT name, date_of_birth FROM new_subjects
) WHERE name IS NOT NULL AND person_value(name, date_of_birth) IS NOT NULL AND forename(name) IS NOT NULL
UNION ALL
SELECT DISTINCT i.kind, i.value FROM (
    SELECT kind, value FROM old_identifiers UNION ALL SELECT kind, value FROM new_identifiers
) i WHERE i.kind = 'address' OR i.kind = 'email' AND several_spellings(i.value)
