-- All links by what both sides have in common, with how many are between forces and how many with a list of the force.
SELECT kind, strength, count(*) AS links, count(*) FILTER (between_forces) AS between_forces, count(*) FILTER (right_source = 'list') AS with_a_list
FROM report_links
GROUP BY kind, strength
ORDER BY list_position(['strong', 'medium', 'weak'], strength), links DESC, kind
