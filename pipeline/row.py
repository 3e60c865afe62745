"""The type of a row under construction, apart from `pipeline.records`: whoever only makes rows, as the process that reads
packages does, loads neither Arrow nor NumPy for it."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]
"""A row of a table under construction: columns by name."""
