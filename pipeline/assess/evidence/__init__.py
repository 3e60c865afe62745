"""What one case is assessed from: its referrals, matches and counts, and what people found out."""
