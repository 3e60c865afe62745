CREATE OR REPLACE TEMP TABLE pairs AS
WITH hubs AS (
    SELECT *, row_number() OVER (PARTITION BY kind, value ORDER BY referral_id) AS place
    FROM holders SEMI JOIN (FROM sizes WHERE n > {hub}) USING (kind, value)
), found AS (
    SELECT l.referral_id AS a, r.referral_id AS b FROM holders l
        JOIN (FROM sizes WHERE n <= {hub}) USING (kind, value) JOIN holders r USING (kind, value)
    WHERE l.referral_id < r.referral_id AND (l.new OR r.new)
    UNION -- a value that has just become a hub: its old pairs are judged again
    SELECT l.referral_id, r.referral_id FROM holders l
        JOIN (FROM sizes WHERE n > {hub} AND n_old BETWEEN 2 AND {hub}) USING (kind, value)
        JOIN holders r USING (kind, value)
    WHERE l.referral_id < r.referral_id AND NOT l.new AND NOT r.new
    UNION -- a hub links what is new in it to a few of its referrals
    SELECT least(l.referral_id, r.referral_id), greatest(l.referral_id, r.referral_id)
    FROM (FROM hubs WHERE new) l JOIN (FROM hubs WHERE place <= {few} + 1) r USING (kind, value)
    WHERE l.referral_id <> r.referral_id AND r.place <= {few} + (l.place <= {few})::INTEGER
)
SELECT a, b, coalesce(x.root, a) = coalesce(y.root, b) AS together FROM found
    LEFT JOIN chains x ON x.referral_id = a LEFT JOIN chains y ON y.referral_id = b;
CREATE OR REPLACE TEMP TABLE old_pairs AS
    SELECT DISTINCT unnest([a, b]) AS referral_id FROM pairs
    WHERE a IN (SELECT referral_id FROM old_referrals) AND b IN (SELECT referral_id FROM old_referrals);
