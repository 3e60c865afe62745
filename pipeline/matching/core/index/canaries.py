"""Known synthetic entries in every segment, and the queries that must find them in every run.

A segment has one canary for each chunk. For canary i three queries are made: at distance 0, r // 2 and r, with the
differing bits laid out so tightly that only a ring that begins at chunk i can find them: run after run of chunks
has exactly the most bits that the plan admits. So a query at distance r exercises table i, and all tables are
exercised by all canaries of a segment. Canaries have negative ids, meet only canary queries and are never reported.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import CanaryError
from pipeline.matching.core.plan import plan

REMEDY = "Nothing was written. Run `triage index verify`, then build the index again from its release."


def hashes(segment: str, width: int) -> NDArray[np.uint8]:
    """The canaries of a segment, uint8 (width / 2, width), made from its name alone."""
    count = width // 2
    data = b"".join(hashlib.shake_256(f"canary {segment} {i}".encode()).digest(width) for i in range(count))
    return np.frombuffer(data, np.uint8).reshape(count, width)


GROUPED = 8
"""Canaries of a segment's groups: one group of their own."""

FLIPS = (0, 1, 5, 9, 14, 20, 29, 44)
"""Bits that they differ in from its centre, which is the first: the last in as many as a member may."""


def grouped(segment: str, width: int) -> NDArray[np.uint8]:
    """The canaries of a segment's groups, uint8 (GROUPED, width), made from its name alone."""
    bits = 8 * width
    centre = np.frombuffer(hashlib.shake_256(f"canary group {segment}".encode()).digest(width), np.uint8)
    out = np.repeat(np.unpackbits(centre)[None], GROUPED, axis=0)
    for k, flips in enumerate(FLIPS):
        out[k, (29 * k + 3 * np.arange(flips)) % bits] ^= 1
    return np.packbits(out, axis=1)


def grouped_queries(canaries: NDArray[np.uint16], radius: int) -> NDArray[np.uint16]:
    """Queries for the canaries of a segment's groups, uint16 (3 GROUPED, m), from these as stored, centre first.

    Three for each: 0, radius // 2 and radius bits away, and away from the centre as long as there are bits that lead there: the farthest
    query is just as near to the centre as one that must be found may be.
    """
    bits = np.unpackbits(np.ascontiguousarray(canaries).view(np.uint8), axis=1)
    out = np.repeat(bits, 3, axis=0)
    for k, own in enumerate(bits):
        away = np.argsort(own != bits[0], kind="stable")
        for step, distance in ((1, radius // 2), (2, radius)):
            out[3 * k + step, away[:distance]] ^= 1
    return np.packbits(out, axis=1).view(np.uint16)


def ids(segment: int, count: int) -> NDArray[np.int64]:
    """Ids of the canaries of the segment at position `segment`: negative, different in every segment."""
    return -(np.int64(segment) * 1000 + np.arange(1, count + 1, dtype=np.int64))


def query_chunks(canaries: NDArray[np.uint16], radius: int) -> NDArray[np.uint16]:
    """Queries for the canaries of one segment, uint16 (3 n, m), from the stored canaries (n, m).

    Three for each canary: 0, radius // 2 and radius bits away (less, when the hash has fewer bits).
    """
    n, m = canaries.shape
    out = np.repeat(canaries, 3, axis=0)
    for i in range(n):
        for step, distance in ((1, radius // 2), (2, radius)):
            for chunk, bits in enumerate(_differences(distance, m, i % m)):
                first = (i * 5 + chunk * 3) % 16
                mask = sum(1 << (first + b) % 16 for b in range(bits))
                out[3 * i + step, chunk] ^= np.uint16(mask)
    return out


def _differences(distance: int, chunks: int, start: int) -> list[int]:
    """Bits to change in each chunk, as tightly as the plan for `distance` admits, seen from chunk `start`."""
    budgets = plan(distance, chunks).budgets
    if budgets[start] == 0:
        start = next(i % chunks for i in range(start, start + chunks) if budgets[i % chunks] > 0)
    differences = list(budgets)
    differences[start] -= 1
    return [min(d, 16) for d in differences]


def expected(canaries: NDArray[np.uint16], queries: NDArray[np.uint16], radius: int) -> set[tuple[int, int, int]]:
    """All pairs (query row, canary row, distance) within `radius`, by comparing each with each."""
    bits = np.bitwise_count(queries[:, None, :] ^ canaries[None, :, :]).sum(axis=2, dtype=np.int64)
    rows = np.argwhere(bits <= radius)
    return {(int(q), int(c), int(bits[q, c])) for q, c in rows}


def compare(wanted: set[tuple[int, int, int]], found: list[tuple[int, int, int]], release: str) -> None:
    """Raises CanaryError unless the pairs found are those wanted, each exactly once."""
    missed = wanted - set(found)
    invented = [pair for pair in found if pair not in wanted]
    repeated = len(found) - len(set(found))
    if missed or invented or repeated:
        raise CanaryError(
            f"The matching core failed its self-check on release {release}: of {len(wanted)} canary pairs {len(missed)} "
            f"were missed, {len(invented)} were wrong and {repeated} came twice. Its results were discarded.",
            REMEDY,
        )
