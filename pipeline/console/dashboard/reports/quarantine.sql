-- Packages returned for information that nothing has put right, by reason, with the clock that has run longest.
-- A package with several reasons stands under each; the last column counts each package once and is the number said everywhere.
WITH open AS (
    SELECT *, coalesce(corrects, package_id) AS first FROM report_packages
    WHERE state = 'quarantined' AND coalesce(corrects, package_id) NOT IN (
        SELECT corrects FROM report_packages WHERE state <> 'quarantined' AND corrects IS NOT NULL)
    QUALIFY row_number() OVER (PARTITION BY first ORDER BY first_seen DESC, package_id DESC) = 1
)
SELECT reason, count(*) AS packages, min(clock_from) AS oldest, (SELECT count(*) FROM open) AS packages_in_all
FROM (SELECT unnest(string_split(coalesce(reasons, 'no reason recorded'), ' | ')) AS reason, clock_from FROM open)
GROUP BY reason
ORDER BY packages DESC, reason
