"""Notes on a case."""

from __future__ import annotations

from pipeline.cases.cases import add_note as add

__all__ = ["add"]
