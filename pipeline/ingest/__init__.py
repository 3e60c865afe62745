"""Packages from the landing folder to validated referral tables."""
