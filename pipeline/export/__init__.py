"""What leaves the system, and how it is asked: look-ups, read-only SQL, reporting tables and exchange formats.

SQL lies in files: named queries in `sql/queries/`, the reporting tables in `reporting/`.
"""
