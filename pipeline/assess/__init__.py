"""Linking of referrals, declared risk features, the model and its reasons."""
