"""The known-hash store: readers of exchange formats, opinions, releases."""
