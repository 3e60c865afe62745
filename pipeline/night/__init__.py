"""The night as a whole: the list of stages, running one, reconciliation, the report, and `triage night`."""
