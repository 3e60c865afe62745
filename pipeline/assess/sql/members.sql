SELECT referral_id, supplements FROM old_referrals WHERE supplements IS NOT NULL
UNION ALL SELECT referral_id, supplements FROM new_referrals WHERE supplements IS NOT NULL
ORDER BY ALL
