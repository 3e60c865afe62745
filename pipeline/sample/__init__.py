"""Sample referrals and a sample hash set to try the product with: invented cases, harmless pictures, and the truth about both."""
