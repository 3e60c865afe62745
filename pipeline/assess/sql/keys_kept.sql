-- The keys of earlier nights from the kept index, and those of mailboxes.
SELECT kind, value, referral_id, source, row_id, subject_id, role, port, seen_at, ambiguous, proxy FROM kept.keys
UNION ALL
{mailboxes}
