-- Links between referrals of different forces, by what they have in common and how strong that is.
SELECT kind, strength, count(*) AS links, max(found_at) AS newest
FROM report_links
WHERE between_forces
GROUP BY kind, strength
ORDER BY list_position(['strong', 'medium', 'weak'], strength), links DESC, kind
