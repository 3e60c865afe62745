CREATE OR REPLACE TEMP TABLE holders AS
    SELECT kind, value, referral_id, bool_or(new) AS new FROM affected GROUP BY ALL;
CREATE OR REPLACE TEMP TABLE sizes AS
    SELECT kind, value, count(*)::INTEGER AS n, count(*) FILTER (NOT new) AS n_old FROM holders GROUP BY ALL
    HAVING count(*) > 1;
