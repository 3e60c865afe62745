-- One row per link between two referrals or with a list of the force; one to a restricted case without its number.
WITH sides AS (SELECT DISTINCT ON (referral_id) referral_id, source, force_code FROM referrals ORDER BY referral_id, force_received_at)
SELECT
    l.link_id AS owner,
    l.compartment IS NOT NULL AS hidden,
    CASE WHEN l.compartment IS NULL THEN l.link_id END AS link_id,
    l.kind,
    l.strength,
    a.source AS left_source,
    CASE WHEN l.right_referral LIKE 'list:%' THEN 'list' ELSE b.source END AS right_source,
    a.force_code AS left_force,
    b.force_code AS right_force,
    coalesce(a.force_code <> b.force_code, false) AS between_forces,
    l.found_at
FROM store_case_links l
LEFT JOIN sides a ON a.referral_id = l.left_referral
LEFT JOIN sides b ON b.referral_id = l.right_referral
ORDER BY l.link_id
