-- Only values that two referrals have can link; those that name nobody are held by many and link nobody.
CREATE OR REPLACE TEMP TABLE common AS
    SELECT kind, value FROM affected GROUP BY ALL HAVING min(referral_id) <> max(referral_id);
CREATE OR REPLACE TEMP TABLE holders AS
    SELECT kind, value, referral_id, bool_or(new) AS new FROM affected SEMI JOIN common USING (kind, value) GROUP BY ALL;
CREATE OR REPLACE TEMP TABLE sizes AS
    SELECT kind, value, n, n_old FROM (
        SELECT kind, value, count(*)::INTEGER AS n, count(*) FILTER (NOT new) AS n_old FROM holders GROUP BY ALL
    ) s ANTI JOIN nobody b ON b.value = named(s.kind, s.value)
    WHERE NOT only_zeros(s.kind, split_part(s.value, chr(31), -1));
