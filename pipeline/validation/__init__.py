"""Validation: how well altered copies are found, measured on pictures and videos of the force's own."""
