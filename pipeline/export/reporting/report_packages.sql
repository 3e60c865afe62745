-- One row per package that arrived, with the state it ended in.
SELECT
    package_id AS owner, coalesce(referral_id IN (SELECT referral_id FROM hidden_referrals), false) AS hidden,
    package_id, landing_folder, state, nullif(array_to_string(reasons, ' | '), '') AS reasons, first_seen, coalesce(clock_from, first_seen) AS clock_from, corrects, files, defects
FROM packages
ORDER BY package_id
