"""Matching two sets of hashes of which neither has an index yet, for example a release's new hashes and past fingerprints."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.matching.core.index.build import build_index
from pipeline.matching.core.index.layout import algorithm as form_of
from pipeline.matching.core.index.layout import as_hashes, as_ids
from pipeline.matching.core.index.store import Index, open_index
from pipeline.matching.core.joining import Join, JoinReport, as_table, join
from pipeline.matching.core.pairs import NO_CAP, PairArrays
from pipeline.matching.core.selection import nearest

BATCH = 2**18
"""Known hashes asked at once when the queries are the indexed side."""

FLOOD = 4096
"""A known hash with more pairs than this is asked again, in company so small that memory stays bounded."""

PAIRS = 2**24
"""Most pairs that such a group may give."""


def join_arrays(
    known: tuple[Any, Any],
    queries: tuple[Any, Any],
    *,
    algorithm: str,
    radius: int,
    cap: int | None = None,
    threads: int = 1,
    folder: Path | None = None,
    progress: Any = None,
) -> Join:
    """All pairs of a known hash and a query hash within `radius` bits, by indexing whichever set is smaller.

    `known` and `queries` are (ids, hashes) as `join` takes them. Sorting a set of queries costs a quarter of what
    indexing it does, so the larger set is streamed. The result is the same as of `join`, whichever side was indexed:
    table, order, cap for a query row, totals. `folder` holds the temporary index (default: the system's).
    Raises as `join` does.
    """
    form = form_of(algorithm)
    query_hashes = as_hashes(queries[1], form.width)
    query_ids = as_ids(queries[0], len(query_hashes))
    known_hashes = as_hashes(known[1], form.width)
    known_ids = as_ids(known[0], len(known_hashes))
    with tempfile.TemporaryDirectory(prefix="index-", dir=folder) as place:
        target = Path(place) / algorithm
        if len(query_hashes) >= len(known_hashes):
            index = _indexed(target, known_ids, known_hashes, algorithm)
            return join(index, query_hashes, query_ids, radius=radius, cap=cap, threads=threads, progress=progress)
        index = _indexed(target, np.arange(len(query_hashes), dtype=np.int64), query_hashes, algorithm)
        stream = _Stream(index, radius, NO_CAP if cap is None else cap, threads)
        for start in range(0, len(known_hashes), BATCH):
            stop = min(start + BATCH, len(known_hashes))
            stream.add(known_ids[start:stop], known_hashes[start:stop])
            if progress is not None:
                progress(stop, len(known_hashes))
        return stream.result(query_ids, cap)


def _indexed(target: Path, ids: Any, hashes: Any, algorithm: str) -> Index:
    build_index([(ids, hashes)], target, algorithm=algorithm, hasher_version="", release="")
    return open_index(target)


class _Stream:
    """Known hashes asked of an index of the queries, and the nearest found so far for each query."""

    def __init__(self, index: Index, radius: int, cap: int, threads: int) -> None:
        self.index, self.radius, self.cap, self.threads = index, radius, cap, threads
        self.totals = np.zeros(index.rows, np.int64)
        self.pairs: PairArrays = (np.empty(0, np.uint32), np.empty(0, np.int64), np.empty(0, np.uint16))
        nothing = np.empty((0, index.form.width), np.uint8)
        self.report: JoinReport = join(index, nothing, [], radius=radius, threads=threads).report

    def add(self, ids: NDArray[np.int64], hashes: NDArray[np.uint8]) -> None:
        """Take in some known hashes. Those that are near to very many queries are asked again, a few at a time."""
        found = self._ask(ids, hashes, FLOOD)
        flooded = found.totals["pairs"].to_numpy() > FLOOD
        self._keep(found, ids, ~flooded)
        rows = np.flatnonzero(flooded)
        step = max(1, PAIRS // max(1, self.index.rows))
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            self._keep(self._ask(ids[part], hashes[part], None), ids[part], np.ones(len(part), bool))

    def _ask(self, ids: NDArray[np.int64], hashes: NDArray[np.uint8], cap: int | None) -> Join:
        positions = np.arange(len(ids), dtype=np.int64)
        found = join(self.index, hashes, positions, radius=self.radius, cap=cap, threads=self.threads)
        self.report = self.report + found.report
        return found

    def _keep(self, found: Join, ids: NDArray[np.int64], wanted: NDArray[np.bool_]) -> None:
        position = found.table["query_id"].to_numpy()
        own = wanted[position]
        query = found.table["known_id"].to_numpy()[own]
        self.totals += np.bincount(query, minlength=len(self.totals))
        new = (query.astype(np.uint32), ids[position[own]], found.table["distance"].to_numpy()[own].astype(np.uint16))
        count = len(self.totals)
        self.pairs = nearest([self.pairs, new], 0, count, self.cap, count)

    def result(self, query_ids: NDArray[np.int64], cap: int | None) -> Join:
        """The join as seen from the queries."""
        table = as_table([self.pairs], query_ids, self.index.form.name)
        report = replace(
            self.report,
            cap=cap or 0,
            rows=self.report.queries,
            queries=len(query_ids),
            pairs=int(self.totals.sum()),
            kept=table.num_rows,
            capped_queries=int((self.totals > self.cap).sum()),
        )
        return Join(table, pa.table({"query_id": query_ids, "pairs": self.totals}), report)
