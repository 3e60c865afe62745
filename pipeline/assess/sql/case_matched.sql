-- The newest release's word on each content and each known media, then one row a content.
CREATE TEMP TABLE matched AS
WITH newest AS (
    SELECT *, {words} AS tag_words FROM found
    QUALIFY release = max(release) OVER (PARTITION BY sha256, media_key)
)
SELECT sha256, any_value(file_id) AS claimed_file, {columns} FROM newest GROUP BY sha256
