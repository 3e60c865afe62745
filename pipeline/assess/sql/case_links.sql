WITH sides AS (
    SELECT link_id, "left" AS here, "right" AS there, strength FROM linked
    UNION ALL SELECT link_id, "right", "left", strength FROM linked WHERE NOT starts_with("right", 'list:')
), pairs AS (
    SELECT m.case_id, coalesce(o.case_id, s.there) AS other, link_id, strength,
        CASE strength WHEN 'strong' THEN 1 WHEN 'medium' THEN 2 ELSE 3 END AS rank
    FROM sides s JOIN members m ON m.referral_id = s.here LEFT JOIN everyone o ON o.referral_id = s.there
    WHERE NOT starts_with(s.there, 'list:') AND o.case_id IS DISTINCT FROM m.case_id
), strongest AS (
    SELECT case_id, other, min(rank) AS rank, arg_min(link_id, (rank, link_id)) AS link_id
    FROM pairs GROUP BY ALL
)
SELECT case_id, ['strong', 'medium', 'weak'][rank] AS strength, count(*)::INTEGER AS n,
    min(link_id, {sample}) AS rows
FROM strongest GROUP BY ALL ORDER BY case_id, strength
