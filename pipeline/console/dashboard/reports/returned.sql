-- Requests for information by reason: how many, how many unanswered, and how long they took.
SELECT
    reason_code AS reason, count(*) AS requests, count(*) FILTER (answered_at IS NULL) AS unanswered,
    round(median(date_diff('minute', asked_at, coalesce(answered_at, as_of)) / 1440.0), 1) AS median_days, min(asked_at) FILTER (answered_at IS NULL) AS oldest_unanswered
FROM report_returned, report_moment
GROUP BY reason_code
ORDER BY requests DESC, reason
