"""Approval of a known-hash release: what it would change, on one page, and a person's word on it."""
