"""Readers of hash-set formats, one module each; `registry` lists them."""
