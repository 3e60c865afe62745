"""From a delivered file to staged rows: found, ordered, read, judged."""
