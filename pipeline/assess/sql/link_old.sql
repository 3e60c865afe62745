SELECT DISTINCT referral_id FROM old_referrals SEMI JOIN judged USING (referral_id)
