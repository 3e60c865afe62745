"""What leaves the system, and how it is asked: look-ups, read-only SQL, reporting tables and exchange formats."""
