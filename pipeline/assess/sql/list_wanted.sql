-- The values of the entries of lists, as keys have them.
CREATE OR REPLACE TEMP TABLE wanted AS
WITH named AS MATERIALIZED (
    SELECT list, entry, kind, person_value(raw, second) AS person, surname(raw) AS last, forename(raw) AS first, second
    FROM entries WHERE kind IN ('person', 'person_of_two_dates')
)
SELECT list, entry, kind, CASE kind WHEN 'address' THEN address_value(raw) ELSE raw END AS value FROM entries WHERE kind <> 'person'
UNION ALL SELECT list, entry, kind, person FROM named WHERE kind = 'person'
UNION ALL SELECT list, entry, 'person_first_and_last', first || ' ' || last || '|' || second
FROM named WHERE kind = 'person' AND length(first) > 1 AND length(last) > 1
UNION ALL SELECT list, entry, 'person_short_name', f.value || ' ' || last || '|' || second
FROM named JOIN first_names f ON f.written = first WHERE kind = 'person' AND length(f.value) > 1 AND length(last) > 1
UNION ALL SELECT list, entry, 'person_surname', last || '|' || second FROM named WHERE length(last) > 1
UNION ALL SELECT list, entry, 'mailbox', coalesce(m.value, raw)
FROM entries LEFT JOIN special_mailboxes m ON m.written = raw WHERE kind = 'email'
UNION ALL SELECT list, entry, 'address_street', a.value
FROM entries JOIN street_keys a ON a.written = raw WHERE kind = 'address'
