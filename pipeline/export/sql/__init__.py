"""Read-only SQL for investigators: what a statement may read, and the locked process that runs it."""
