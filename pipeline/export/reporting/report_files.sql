-- One row per media file of a referral, with the best match it has.
WITH keyed AS (
    SELECT f.referral_id, f.file_id, f.state, f.sha256, r.source, r.force_received_at
    FROM media_files f
    JOIN (SELECT * FROM referrals QUALIFY row_number() OVER (PARTITION BY referral_id ORDER BY force_received_at) = 1) r
        ON r.referral_id = f.referral_id
),
ranked AS (
    SELECT coalesce(file_id, sha256::VARCHAR) AS owner, release, kind, grade,
        row_number() OVER (PARTITION BY coalesce(file_id, sha256::VARCHAR) ORDER BY release DESC, coalesce(level, '') = 'similar', list_position(['exact', 'claimed', 'near', 'variant', 'video', 'refined', 'unrefined'], kind), distance, match_id) AS place,
        bool_or(distance = 0) OVER (PARTITION BY coalesce(file_id, sha256::VARCHAR)) AS known
    FROM matches
)
SELECT
    k.referral_id AS owner,
    k.referral_id IN (SELECT referral_id FROM hidden_referrals) AS hidden,
    k.file_id,
    k.source,
    k.state,
    p.state AS fingerprint_state,
    m.release,
    m.kind AS match_kind,
    m.grade,
    coalesce(m.known, false) AS known,
    k.force_received_at AS received_at
FROM keyed k
LEFT JOIN (SELECT DISTINCT ON (sha256) sha256, state FROM fingerprints ORDER BY sha256) p ON p.sha256 = k.sha256
LEFT JOIN ranked m ON m.owner = coalesce(k.sha256::VARCHAR, k.file_id) AND m.place = 1
ORDER BY k.file_id
