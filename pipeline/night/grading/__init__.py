"""Graded results that come back: attached to the case that they are of, and uploaded in the console."""
