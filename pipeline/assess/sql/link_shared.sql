SELECT a, b, l.kind, l.value, n FROM pairs
    JOIN holders l ON l.referral_id = a JOIN holders r ON r.referral_id = b AND r.kind = l.kind AND r.value = l.value
    JOIN sizes s ON s.kind = l.kind AND s.value = l.value
WHERE NOT together OR l.kind = 'supplement'
ORDER BY a, b, l.kind, l.value
