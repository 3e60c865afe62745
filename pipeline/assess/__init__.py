"""Linking of referrals, declared risk features, the model and its reasons.

SQL lies in files beside the modules, in `sql/`, read by `database.py`.
"""
