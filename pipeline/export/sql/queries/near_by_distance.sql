-- Near, variant and refined matches by distance: how close to the threshold they lie.
SELECT algorithm, kind, distance, count(*) AS matches
FROM matches
WHERE kind NOT IN ('exact', 'claimed')
GROUP BY ALL
ORDER BY algorithm, kind, distance
