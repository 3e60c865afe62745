"""Matching of a night: which units there are, exact and near matches, evidence, the flood guard, and what a new release changes."""
