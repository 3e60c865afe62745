-- The values that each pair is judged by: all of a kind, or the first `most` where there are more; `at_least` is then how many
-- different ones there are at least, and null otherwise. They are chosen while they are joined: all of them are never held.
CREATE OR REPLACE TEMP TABLE large AS
    SELECT pair, code, kind, most, at_least, l_side, r_side FROM counted JOIN numbered USING (pair) JOIN kinds USING (code)
    WHERE total > most;
-- Of addresses first those that can say most of this pair: `times` numbers the windows in which there are sightings, and `near` those
-- and the ones beside them, in which every sighting within the window of one of them is; the same with the port in the number.
CREATE OR REPLACE TEMP TABLE windows AS
WITH seen AS (
    SELECT kind, value, referral_id, coalesce(proxy = 'yes', false) AS proxy, port >= {port} AS customer,
        CASE WHEN NOT ambiguous THEN epoch_us(seen_at) // 60000000 // greatest({window}, 1) END AS number,
        number * 65536 + port AS of_port
    FROM affected WHERE kind = 'ip'
)
SELECT side, place, hub, bool_or(lent OR proxy) AS lent, list(DISTINCT number) FILTER (number IS NOT NULL) AS times,
    list_concat(times, list_transform(times, lambda x: x - 1), list_transform(times, lambda x: x + 1)) AS near,
    list(DISTINCT of_port) FILTER (customer AND number IS NOT NULL) AS ports,
    list_concat(ports, list_transform(ports, lambda x: x - 65536), list_transform(ports, lambda x: x + 65536)) AS near_ports
FROM seen JOIN placed USING (kind, value) JOIN sides USING (referral_id)
    SEMI JOIN (SELECT unnest([l_side, r_side]) AS side FROM large WHERE kind = 'ip') USING (side)
WHERE counts GROUP BY ALL;
CREATE OR REPLACE TEMP TABLE shared AS
WITH small AS (
    SELECT pair, code FROM counted JOIN kinds USING (code) WHERE total BETWEEN 1 AND most
), chosen AS (
    SELECT pair, place, NULL AS at_least FROM (
        SELECT pair, l.code, l.place FROM numbered SEMI JOIN small USING (pair)
            JOIN held l ON l.side = l_side JOIN held r ON r.side = r_side AND r.place = l.place WHERE l.counts
    ) SEMI JOIN small USING (pair, code)
    UNION ALL
    SELECT pair, unnest(min(l.place, most)), any_value(at_least)
    FROM large JOIN held l ON l.side = l_side AND l.code = large.code JOIN held r ON r.side = r_side AND r.place = l.place
    WHERE large.kind <> 'ip' GROUP BY pair, large.code
    UNION ALL
    SELECT pair, unnest(min(l.place + 4294967296 * CASE
            WHEN l.hub THEN 3
            WHEN list_has_any(l.ports, r.near_ports) THEN 0
            WHEN NOT coalesce(list_has_any(l.times, r.near), false) THEN 2
            WHEN l.lent OR r.lent THEN 2 ELSE 1 END, most)) & 4294967295, any_value(at_least)
    FROM large JOIN windows l ON l.side = l_side JOIN windows r ON r.side = r_side AND r.place = l.place
    WHERE large.kind = 'ip' GROUP BY pair
)
SELECT a, b, kind, value, n, at_least FROM chosen JOIN placed USING (place) JOIN numbered USING (pair);
