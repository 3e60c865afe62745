"""The index on disk: built, extended, checked, opened."""
