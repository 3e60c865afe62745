"""Pages of the digital media investigator: look-ups, SQL, exports."""
