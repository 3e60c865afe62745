"""What referrals share with each other and with the lists of the force, and how strong it is as evidence."""
