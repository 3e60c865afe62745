-- The values that each pair is judged by: all of a kind, or the first `most` where there are more; `at_least` is then how many
-- different ones there are at least, and null otherwise. They are chosen while they are joined: all of them are never held.
CREATE OR REPLACE TEMP TABLE large AS
    SELECT pair, code, kind, most, at_least, l_side, r_side FROM counted JOIN numbered USING (pair) JOIN kinds USING (code)
    WHERE total > most;
-- Of addresses first those that can say most of this pair, by the first and last of their times and all of their ports.
CREATE OR REPLACE TEMP TABLE spans AS
    SELECT side, place, hub, bool_or(lent OR coalesce(proxy = 'yes', false)) AS lent,
        min(seen_at) FILTER (certain) AS first, max(seen_at) FILTER (certain) AS last,
        list(DISTINCT port) FILTER (certain AND port >= {port}) AS ports
    FROM (SELECT *, seen_at IS NOT NULL AND NOT ambiguous AS certain FROM affected WHERE kind = 'ip')
        JOIN placed USING (kind, value) JOIN sides USING (referral_id)
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
            WHEN NOT coalesce(l.first - w <= r.last AND r.first - w <= l.last, false) THEN 2
            WHEN list_has_any(l.ports, r.ports) THEN 0
            WHEN l.lent OR r.lent THEN 2 ELSE 1 END, most)) & 4294967295, any_value(at_least)
    FROM (SELECT *, to_minutes({window}) AS w FROM large WHERE kind = 'ip')
        JOIN spans l ON l.side = l_side JOIN spans r ON r.side = r_side AND r.place = l.place GROUP BY pair
)
SELECT a, b, kind, value, n, at_least FROM chosen JOIN placed USING (place) JOIN numbered USING (pair);
