-- A content that a case names twice (in a report and its supplement) is one file of the case.
WITH contents AS (
    SELECT case_id, coalesce(sha256, CASE WHEN sha256 IS NULL THEN unhex(sha256_text) END) AS content, min(file_id) AS file_id, count(*) AS namings,
        min(state) FILTER (state = 'present') IS NOT NULL AS sent, max(state) AS other_state,
        bool_or(viewed_by_provider = 'yes') AS viewed,
        bool_or(publicly_available = 'yes') AS public, bool_or(publicly_available = 'unknown') AS public_unknown,
        coalesce(bool_or(industry_classification IN ('A1', 'A2')), false) AS younger,
        {words} AS mark_words, {viral} AS viral_everywhere, min(arrived) AS arrived
    FROM (SELECT *, CASE WHEN sha256 IS NULL THEN sha256(file_id) END AS sha256_text FROM media) JOIN members USING (referral_id)
        JOIN received USING (referral_id)
    GROUP BY ALL
), hashed AS (
    SELECT sha256, state AS hashing, coalesce(reason, '') AS why, coalesce(media_type, '') AS media_type,
        coalesce(contains(exif, '"make":') OR contains(exif, '"model":'), false) AS camera
    FROM prints QUALIFY row_number() OVER (PARTITION BY sha256 ORDER BY algorithm_version DESC, run_id DESC) = 1
), put_aside AS (
    SELECT sha256, min(coalesce(since, 0)) AS aside_since FROM aside LEFT JOIN later USING (match_id) GROUP BY sha256
), joined AS (
    SELECT c.*, CASE WHEN sent THEN 'present' ELSE other_state END AS state, h.hashing,
        coalesce(h.camera, false) AS camera, h.why, h.media_type, m.* EXCLUDE (sha256, claimed_file, known_since, leads_since), a.sha256 IS NOT NULL AS aside,
        coalesce(known IS NOT NULL AND known_since <= arrived, false) AS known_then,
        coalesce(leads IS NOT NULL AND leads_since <= arrived, false) AS leads_then, coalesce(aside_since <= arrived, false) AS aside_then
    FROM contents c LEFT JOIN put_aside a ON a.sha256 = c.content LEFT JOIN hashed h ON h.sha256 = c.content LEFT JOIN matched m ON m.sha256 = c.content
)
SELECT case_id, count(*)::INTEGER AS n_files, sum(namings)::INTEGER AS n_namings,
    count(*) FILTER (state = 'present')::INTEGER AS n_present, {columns}
FROM joined GROUP BY case_id
