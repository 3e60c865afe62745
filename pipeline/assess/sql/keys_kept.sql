-- The keys of earlier nights that stand in {kept}, and those of mailboxes, which a plain address has as soon as another way of
-- writing it is met.
SELECT kind, value, referral_id, source, row_id, subject_id, role, port, seen_at, ambiguous, proxy FROM {kept}
UNION ALL
SELECT 'mailbox', coalesce(m.value, k.value), k.referral_id, k.source, k.row_id, k.subject_id, k.role, NULL, NULL, false, NULL
FROM {kept} k LEFT JOIN special_mailboxes m ON m.written = k.value
WHERE k.kind = 'email' AND (m.value IS NOT NULL OR k.value IN (SELECT value FROM special_mailboxes))
