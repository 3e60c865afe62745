FROM sighted SEMI JOIN (
    SELECT kind, value, unnest([a, b]) AS referral_id FROM shared SEMI JOIN (FROM parts WHERE part = {part}) USING (a, b)
) USING (kind, value, referral_id) ORDER BY ALL
