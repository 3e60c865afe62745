-- The sightings of what is judged, and parts of about {rows} of them, none of which ends within a pair. Pairs with the same left
-- side follow each other, and its sightings are read once.
CREATE OR REPLACE TEMP TABLE sighted AS
    SELECT DISTINCT kind, value, referral_id, source, row_id, subject_id, role, port, seen_at, ambiguous, proxy
    FROM affected SEMI JOIN (SELECT kind, value, unnest([a, b]) AS referral_id FROM shared) USING (kind, value, referral_id);
CREATE OR REPLACE TEMP TABLE parts AS
WITH seen AS (
    SELECT kind, value, referral_id, count(*) AS times FROM sighted GROUP BY ALL
), of_pairs AS (
    SELECT a, b, sum(l.times) AS l_times, sum(r.times) AS r_times FROM shared JOIN seen l USING (kind, value)
        JOIN seen r USING (kind, value) WHERE l.referral_id = a AND r.referral_id = b GROUP BY ALL
), sized AS (
    SELECT a, b, r_times + CASE WHEN lag(a) OVER (ORDER BY a, b) = a THEN 0 ELSE l_times END AS size FROM of_pairs
)
SELECT a, b, (sum(size) OVER (ORDER BY a, b ROWS UNBOUNDED PRECEDING) - size) // {rows} AS part FROM sized;
