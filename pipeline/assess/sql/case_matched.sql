-- The newest release's word on each content and each known media, then one row per content. known_since and leads_since:
-- the number of the run that first said so, 0 for what the content's own first comparison said.
CREATE TEMP TABLE matched AS
WITH dated AS (
    SELECT sha256, {words} AS tag_words, * EXCLUDE (sha256, match_id, since), match_id, coalesce(since, 0) AS since
    FROM found LEFT JOIN later USING (match_id)
), first_said AS (
    SELECT sha256, min(since) FILTER ({known}) AS known_since, min(since) FILTER ({leads}) AS leads_since
    FROM dated GROUP BY sha256
), newest AS (
    SELECT * FROM dated
    QUALIFY release = max(release) OVER (PARTITION BY sha256, media_key)
)
SELECT sha256, any_value(file_id) AS claimed_file, any_value(known_since) AS known_since, any_value(leads_since) AS leads_since,
    {columns}
FROM newest JOIN first_said USING (sha256) GROUP BY sha256
