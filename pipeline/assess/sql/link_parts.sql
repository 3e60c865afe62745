-- The sightings of what is judged, and parts of about {rows} of them, none of which ends within a pair. Pairs with the same left
-- side follow each other, and its sightings are read once.
CREATE OR REPLACE TEMP TABLE sighted AS
    SELECT DISTINCT kind, value, referral_id, source, row_id, subject_id, role, port, seen_at, ambiguous, proxy
    FROM affected SEMI JOIN (SELECT kind, value, unnest([a, b]) AS referral_id FROM shared) USING (kind, value, referral_id);
CREATE OR REPLACE TEMP TABLE parts AS
WITH seen AS (
    SELECT kind, value, referral_id, count(*) AS times FROM sighted GROUP BY ALL
), of_pairs AS ( -- one look-up for both sides: two joins may be put in an order that holds each value's sightings against each other
    SELECT a, b, sum(times) FILTER (referral_id = a) AS l_times, sum(times) FILTER (referral_id = b) AS r_times
    FROM (SELECT a, b, kind, value, unnest([a, b]) AS referral_id FROM shared) JOIN seen USING (kind, value, referral_id)
    GROUP BY ALL
), sized AS (
    SELECT a, b, r_times + CASE WHEN lag(a) OVER (ORDER BY a, b) = a THEN 0 ELSE l_times END AS size FROM of_pairs
)
SELECT a, b, (sum(size) OVER (ORDER BY a, b ROWS UNBOUNDED PRECEDING) - size) // {rows} AS part FROM sized;
