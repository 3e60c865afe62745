-- One row per case and stage of its way from the incident to the first action, where both ends are known.
WITH times AS (
    SELECT c.case_id, c.compartment, c.source, c.band, c.first_action_at, c.clock_start, r.*
        EXCLUDE (referral_id, source, compartment)
    FROM store_cases c
    JOIN (SELECT * FROM referrals QUALIFY row_number() OVER (PARTITION BY referral_id ORDER BY force_received_at) = 1) r
        ON r.referral_id = c.referral_id
),
stages AS (
    SELECT *, 1 AS position, 'incident_to_report' AS stage, incident_at AS started_at, provider_reported_at AS ended_at FROM times
    UNION ALL BY NAME
    SELECT *, 2 AS position, 'report_to_ncmec' AS stage, provider_reported_at AS started_at, ncmec_received_at AS ended_at FROM times
    UNION ALL BY NAME
    SELECT *, 3 AS position, 'ncmec_to_nca' AS stage, ncmec_received_at AS started_at, nca_received_at AS ended_at FROM times
    UNION ALL BY NAME
    SELECT *, 4 AS position, 'nca_to_dissemination' AS stage, nca_received_at AS started_at, nca_disseminated_at AS ended_at FROM times
    UNION ALL BY NAME
    SELECT *, 5 AS position, 'dissemination_to_force' AS stage, nca_disseminated_at AS started_at, force_received_at AS ended_at FROM times
    UNION ALL BY NAME
    SELECT *, 6 AS position, 'force_to_first_action' AS stage, force_received_at AS started_at, first_action_at AS ended_at FROM times
)
SELECT
    case_id AS owner,
    compartment IS NOT NULL AS hidden,
    CASE WHEN compartment IS NULL THEN case_id END AS case_id,
    source,
    band,
    stage,
    position,
    started_at,
    ended_at,
    date_diff('minute', started_at, ended_at) / 60.0 AS hours
FROM stages
WHERE started_at IS NOT NULL AND ended_at IS NOT NULL
ORDER BY clock_start, stages.case_id, position
