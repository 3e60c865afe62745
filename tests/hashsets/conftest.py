"""Shared by the tests of the store."""
