"""Packages as they lie in the landing folder: found, complete or waiting, and opened within limits."""
