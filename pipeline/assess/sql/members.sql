SELECT referral_id, supplements FROM old_referrals
UNION ALL SELECT referral_id, supplements FROM new_referrals
ORDER BY ALL
