CREATE OR REPLACE TEMP TABLE pairs AS
WITH hubs AS (
    SELECT *, row_number() OVER (PARTITION BY kind, value ORDER BY referral_id) AS place
    FROM holders JOIN (SELECT kind, value, n FROM sizes WHERE n > {hub}) USING (kind, value)
), found AS (
    SELECT l.referral_id AS a, r.referral_id AS b FROM holders l
        JOIN (FROM sizes WHERE n <= {hub}) USING (kind, value) JOIN holders r USING (kind, value)
    WHERE l.referral_id < r.referral_id AND (l.new OR r.new)
    UNION -- a value that has just become a hub: its old pairs are judged again
    SELECT l.referral_id, r.referral_id FROM holders l
        JOIN (FROM sizes WHERE n > {hub} AND n_old BETWEEN 2 AND {hub}) USING (kind, value)
        JOIN holders r USING (kind, value)
    WHERE l.referral_id < r.referral_id AND NOT l.new AND NOT r.new
    UNION -- a hub links what is new in it to the few that come before it in the ring of its referrals: none of them gathers
    -- links with everything that comes in later years, as the first ones would
    SELECT least(l.referral_id, r.referral_id), greatest(l.referral_id, r.referral_id)
    FROM (SELECT *, unnest(range(1, {few} + 1)) AS back FROM hubs WHERE new) l
        JOIN hubs r ON r.kind = l.kind AND r.value = l.value AND r.place = (l.place - l.back - 1 + l.n) % l.n + 1
    WHERE l.referral_id <> r.referral_id -- of no more than they link to
)
SELECT a, b, coalesce(x.root, a) = coalesce(y.root, b) AS together FROM found
    LEFT JOIN chains x ON x.referral_id = a LEFT JOIN chains y ON y.referral_id = b;
CREATE OR REPLACE TEMP TABLE old_pairs AS
    SELECT DISTINCT unnest([a, b]) AS referral_id FROM pairs
    WHERE a IN (SELECT referral_id FROM old_referrals) AND b IN (SELECT referral_id FROM old_referrals);
