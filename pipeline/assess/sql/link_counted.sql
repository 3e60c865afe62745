-- How many values each pair shares of each kind, and the order in which it is judged by them where they are more than `most`: what
-- names an earlier report by itself, what is no hub, the stronger digest. A third referral changes nothing in this order but
-- by making a hub, whose pairs are judged again. Addresses that name nobody count for nothing.
CREATE OR REPLACE TEMP TABLE placed AS
    SELECT kind, code, value, n, n > {hub} AS hub, coalesce(lent, false) AS lent, NOT coalesce(ignored, false) AS counts,
        CASE kind WHEN 'file_hash' THEN starts_with(value, '{digest}:') ELSE NOT repeats END AS different,
        row_number() OVER (
            ORDER BY kind, kind = 'supplement' AND starts_with(value, 'report:'), n > {hub},
                CASE kind WHEN 'file_hash' THEN list_position([{digests}], split_part(value, ':', 1)) END, value
        ) AS place
    FROM sizes JOIN kinds USING (kind) LEFT JOIN (SELECT 'ip' AS kind, * FROM addresses) USING (kind, value);
CREATE OR REPLACE TEMP TABLE sides AS
    SELECT referral_id, row_number() OVER () AS side FROM (SELECT DISTINCT unnest([a, b]) AS referral_id FROM pairs);
CREATE OR REPLACE TEMP TABLE numbered AS
    SELECT a, b, together, row_number() OVER () AS pair, l.side AS l_side, r.side AS r_side
    FROM pairs JOIN sides l ON l.referral_id = a JOIN sides r ON r.referral_id = b;
CREATE OR REPLACE TEMP TABLE held AS
    SELECT side, place, code, kind, counts, different FROM holders JOIN placed USING (kind, value) JOIN sides USING (referral_id);
CREATE OR REPLACE TEMP TABLE counted AS
    SELECT pair, l.code, count(*) FILTER (l.counts) AS total, count(*) FILTER (l.counts AND l.different) AS at_least
    FROM numbered JOIN held l ON l.side = l_side JOIN held r ON r.side = r_side AND r.place = l.place
    WHERE NOT together OR l.kind = 'supplement' GROUP BY ALL;
