"""The night as a whole: the contract of a stage, the list of stages, reconciliation, the report, and `triage night`."""
