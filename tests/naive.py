"""Slow, obvious twins of fast code: what each fast function must agree with, in as few lines as possible."""

from __future__ import annotations

from typing import Any


def distance(one: bytes, other: bytes) -> int:
    """Bits that differ."""
    return sum((a ^ b).bit_count() for a, b in zip(one, other, strict=True))


def join(
    known: list[tuple[int, bytes]], queries: list[tuple[int, bytes]], radius: int, cap: int | None = None
) -> tuple[list[tuple[int, int, int]], list[int]]:
    """Every known hash compared with every query: (query id, known id, distance) by query, distance and known id.

    Also the full count of pairs for each query, whatever the cap.
    """
    pairs: list[tuple[int, int, int]] = []
    totals = []
    for query_id, query in queries:
        found = sorted((distance(query, value), known_id) for known_id, value in known)
        near = [(d, known_id) for d, known_id in found if d <= radius]
        totals.append(len(near))
        pairs += [(query_id, known_id, d) for d, known_id in near[:cap]]
    return pairs, totals


def rows(table: Any) -> list[tuple[int, int, int]]:
    """The table of a `pipeline.matching.Join` in the form of `join` above."""
    columns = (table[name].to_pylist() for name in ("query_id", "known_id", "distance"))
    return list(zip(*columns, strict=True))
