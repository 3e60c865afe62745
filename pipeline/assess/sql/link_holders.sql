-- Values that name nobody are held by many and link nobody.
CREATE OR REPLACE TEMP TABLE holders AS
    SELECT kind, value, referral_id, bool_or(new) AS new FROM affected GROUP BY ALL;
CREATE OR REPLACE TEMP TABLE sizes AS
    SELECT kind, value, n, n_old FROM (
        SELECT kind, value, count(*)::INTEGER AS n, count(*) FILTER (NOT new) AS n_old FROM holders GROUP BY ALL
        HAVING count(*) > 1
    ) s ANTI JOIN nobody b ON b.value = named(s.kind, s.value)
    WHERE NOT only_zeros(s.kind, split_part(s.value, chr(31), -1));
