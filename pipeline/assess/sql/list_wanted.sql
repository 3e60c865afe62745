-- The values of the entries of lists, as keys have them.
CREATE OR REPLACE TEMP TABLE wanted AS
SELECT list, entry, kind, CASE kind
    WHEN 'person' THEN person_value(raw, second) WHEN 'address' THEN address_value(raw) ELSE raw END AS value
FROM entries
UNION ALL SELECT list, entry, 'person_first_and_last', forename(raw) || ' ' || surname(raw) || '|' || second
FROM entries WHERE kind = 'person' AND length(forename(raw)) > 1 AND length(surname(raw)) > 1
UNION ALL SELECT list, entry, 'person_short_name', f.value || ' ' || surname(raw) || '|' || second
FROM entries JOIN first_names f ON f.written = forename(raw)
WHERE kind = 'person' AND length(f.value) > 1 AND length(surname(raw)) > 1
UNION ALL SELECT list, entry, 'person_surname', surname(raw) || '|' || second
FROM entries WHERE kind IN ('person', 'person_of_two_dates') AND length(surname(raw)) > 1
UNION ALL SELECT list, entry, 'mailbox', coalesce(m.value, raw)
FROM entries LEFT JOIN special_mailboxes m ON m.written = raw WHERE kind = 'email'
UNION ALL SELECT list, entry, 'address_street', a.value
FROM entries JOIN street_keys a ON a.written = raw WHERE kind = 'address'
