SELECT DISTINCT case_id FROM packages JOIN members USING (referral_id) WHERE state = 'quarantined'
