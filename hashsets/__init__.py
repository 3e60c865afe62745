"""The known-hash store: readers of exchange formats, opinions, releases.

SQL with names that vary is composed by `pipeline/sql.py` from declared columns; fixed statements stand where they are run.
"""
