"""Look-ups, read-only SQL and exports for digital media investigators."""
