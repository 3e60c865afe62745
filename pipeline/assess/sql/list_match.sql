-- Where one side names no flat, the house is enough.
SELECT DISTINCT referral_id, list, entry, k.kind, source, row_id
FROM ({keys}) k JOIN wanted w ON w.kind = k.kind AND whole_house(w.kind, w.value) = whole_house(k.kind, k.value)
WHERE (k.kind = 'address' AND (flat_of(k.value) = flat_of(w.value) OR '' IN (flat_of(k.value), flat_of(w.value))))
    OR k.kind = 'address_street'
    OR k.kind NOT IN ('address', 'address_street') AND (role IS NULL OR role NOT IN (SELECT role FROM not_persons))
ORDER BY ALL
