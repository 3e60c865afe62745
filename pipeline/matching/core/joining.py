"""The public join: queries against an index, all pairs within a radius, proven by canaries in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import CanaryError, UsageError
from pipeline.matching.core import few, sharing
from pipeline.matching.core.index import canaries
from pipeline.matching.core.index.layout import as_hashes, as_ids, to_chunks
from pipeline.matching.core.index.store import Index, MappedSegment
from pipeline.matching.core.pairs import NO_CAP, Collected, JoinCounters, NearestOf, PairArrays, Queries, concatenated
from pipeline.matching.core.plan import plan

QUERY_BATCH = 2**20
"""Queries compared in one pass over the index; a pass needs about 150 bytes per query, and up to 130 more for each thread where a cap is given."""


CanaryPair = tuple[int, int, int]
"""Row of a canary query, position of the canary (-1: none of ours), distance."""


@dataclass
class JoinReport:
    """How a join was done. Counts only.

    `plan` is "buckets" or "scan" (chosen per segment; "mixed" when both), `candidates` words compared, `survivors`
    full distances computed, `pairs` found within the radius, `kept` after the cap, `capped_queries` those that lost
    pairs to it, `canaries` canary pairs found as expected. Seconds are wall time: `compile_seconds` of loading or
    compiling kernels and `check_seconds` of comparing checksums (both once per process), `match_seconds` all else.
    `match_cpu_seconds` is CPU time of all threads, `path_cpu_seconds` that of the calling thread and of the busiest
    worker: what the join takes on an otherwise idle machine.
    """

    algorithm: str
    release: str
    radius: int
    cap: int
    threads: int
    rows: int
    queries: int
    plan: str = ""
    passes: int = 0
    visits: int = 0
    candidates: int = 0
    survivors: int = 0
    pairs: int = 0
    kept: int = 0
    capped_queries: int = 0
    canaries: int = 0
    compile_seconds: float = 0.0
    check_seconds: float = 0.0
    match_seconds: float = 0.0
    match_cpu_seconds: float = 0.0
    path_cpu_seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __add__(self, other: JoinReport) -> JoinReport:
        """The report of two joins with one index, one after the other."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in _SUMMED}
        return replace(self, plan=self.plan if self.plan == other.plan else "mixed", **sums)


_SUMMED = ("queries", *(f.name for f in fields(JoinReport) if f.default == 0))
"""Fields of a report that add up over joins: all counts and seconds."""


@dataclass(frozen=True)
class Join:
    """Result of a join.

    `table`: query_id int64, known_id int64, distance int32, algorithm string; one row per pair of hashes, ordered by the
    position of the query, distance and known id, at most `cap` rows per query. `totals`: query_id int64, pairs int64, one
    row per query in the order given, the full count of pairs whatever the cap.
    """

    table: pa.Table
    totals: pa.Table
    report: JoinReport


def join(
    index: Index,
    hashes: Any,
    ids: Any,
    *,
    radius: int,
    cap: int | None = None,
    threads: int = 1,
    progress: Any = None,
    compiled: bool = True,
) -> Join:
    """All pairs of a query hash and a known hash that differ in at most `radius` bits.

    `hashes` uint8 (n, width) or an Arrow binary column, `ids` int64 (n,), which may repeat. `cap` limits the pairs kept
    for one query row to the nearest (ties by lower known id); None keeps all. `progress(done, total)` is called
    between pieces of work. Canary queries are added to every run. Without `compiled` few queries of a small index are
    compared by NumPy (`few.py`), which loads no kernels: the same result.

    Raises UsageError for wrong input, IntegrityError when the index was altered since it was built, and CanaryError,
    with no result, when a canary was missed or found wrongly.
    """
    form = index.form
    values = as_hashes(hashes, form.width)
    keys = as_ids(ids, len(values))
    limit = _checked(radius, cap, threads, form.bits)
    report = JoinReport(
        form.name, index.manifest.release, radius, 0 if cap is None else cap, threads, index.rows, len(values)
    )
    way = _way(index, len(values), radius, compiled)
    report.compile_seconds = way.ready(form.chunks)
    started = time.perf_counter()
    index.ensure_checked(compiled=way.compiled)
    report.check_seconds = time.perf_counter() - started
    started, cpu, own = time.perf_counter(), time.process_time(), time.thread_time()
    parts: list[PairArrays] = []
    totals = np.zeros(len(values), np.int64)
    steps = max(1, -(-len(values) // QUERY_BATCH))
    for step in range(steps):
        low, high = step * QUERY_BATCH, min((step + 1) * QUERY_BATCH, len(values))
        chunks = to_chunks(values[low:high])
        pairs, totals[low:high] = _batch(
            index, chunks, radius, limit, threads, report, _part(progress, step, steps), way
        )
        parts.append((pairs[0] + np.uint32(low), pairs[1], pairs[2]))
        report.passes += 1
    table = as_table(parts, keys, form.name)
    report.pairs, report.kept = int(totals.sum()), table.num_rows
    report.capped_queries = int((totals > limit).sum())
    report.match_seconds = time.perf_counter() - started
    report.match_cpu_seconds = time.process_time() - cpu
    report.path_cpu_seconds += time.thread_time() - own
    return Join(table, pa.table({"query_id": keys, "pairs": totals}), report)


def check_canaries(index: Index, *, radius: int | None = None, threads: int = 1) -> int:
    """Run the canary queries alone; returns how many pairs were found as expected.

    `radius` defaults to each of 0, 8 and 31 bits (64-bit hashes: 0 and 8). Raises CanaryError and IntegrityError.
    """
    radii = [radius] if radius is not None else [0, 8, 31] if index.form.bits > 64 else [0, 8]
    nothing = np.empty((0, index.form.width), np.uint8)
    return sum(join(index, nothing, [], radius=r, threads=threads).report.canaries for r in radii)


def _checked(radius: int, cap: int | None, threads: int, bits: int) -> int:
    if not 0 <= radius <= bits:
        raise UsageError(f"Radius {radius} is not possible.", f"Give a number of bits from 0 to {bits}.")
    if cap is not None and cap < 1:
        raise UsageError(f"Cap {cap} would keep no pair.", "Give 1 or more, or no cap.")
    if threads < 1:
        raise UsageError(f"{threads} threads cannot run.", "Give 1 or more.")
    return NO_CAP if cap is None else cap


def _part(progress: Any, step: int, steps: int) -> Any:
    if progress is None:
        return None
    return lambda done, total: progress(step * total + done, steps * total)


@dataclass(frozen=True)
class _Way:
    """How passes are done. `ready` makes all ready for hashes of so many chunks and returns the seconds it took."""

    compiled: bool
    ready: Callable[[int], float]
    run: Callable[..., Collected]
    nearest: NearestOf


def _way(index: Index, queries: int, radius: int, compiled: bool) -> _Way:
    rows = sum(s.segment.total for s in index.segments)
    small = queries <= few.QUERIES and rows <= few.ROWS and not plan(radius, index.form.chunks).too_deep
    if small and not compiled:
        return _Way(False, lambda _: 0.0, few.run, few.nearest)
    # with Numba and the kernels
    from pipeline.matching.core import driver, selection
    from pipeline.matching.core.compiled.warm import warm

    return _Way(True, warm, driver.run, selection.nearest)


class _Pass:
    """A pass of queries over an index, with the canaries that prove it."""

    def __init__(self, index: Index, radius: int, threads: int, way: _Way) -> None:
        # Made from their names, not read from the index: what is damaged there must not agree with itself.
        stored, asked = [], []
        for segment in index.segments:
            name, width = segment.segment.name, index.form.width
            alone = to_chunks(canaries.hashes(name, width))
            grouped = to_chunks(canaries.grouped(name, width))[: canaries.GROUPED if segment.groups else 0]
            stored.append(np.concatenate([alone, grouped]))
            asked.append(canaries.query_chunks(alone, radius))
            if segment.groups:
                asked.append(canaries.grouped_queries(grouped, radius))
        own = np.concatenate([canaries.ids(k, len(c)) for k, c in enumerate(stored)])
        # Twice, because the kernel compares the second half in tiles, which few other buckets of an index may come to.
        self._asked = np.concatenate(asked * 2)
        self._wanted = canaries.expected(np.concatenate(stored), self._asked, radius)
        self._position = {int(i): k for k, i in enumerate(own)}
        self._release = index.manifest.release
        self._run = way.run
        self._plan, self._threads = plan(radius, index.form.chunks), threads
        self.counters = JoinCounters()

    def compare(
        self, segments: list[MappedSegment], chunks: NDArray[np.uint16], cap: int, progress: Any
    ) -> tuple[PairArrays, NDArray[np.int64], list[CanaryPair]]:
        """Pairs of the queries and the rows of these segments, the count of each query, and the pairs of canaries."""
        real = len(chunks)
        queries = Queries(np.ascontiguousarray(np.concatenate([chunks, self._asked])), real, cap)
        collected = self._run(segments, queries, self._plan, self._threads, self.counters, progress)
        query, ids, distances = collected.pairs
        end = int(np.searchsorted(query, real))
        if end and int(ids[:end].min()) < 0:
            raise CanaryError("A canary was found by a query that is none.", canaries.REMEDY)
        found = [
            (int(q) - real, self._position.get(int(i), -1), int(d))
            for q, i, d in zip(query[end:], ids[end:], distances[end:], strict=True)
        ]
        return (query[:end], ids[:end], distances[:end]), collected.totals[:real], found

    def prove(self, found: list[CanaryPair]) -> int:
        """How many pairs of canaries were found; raises CanaryError unless they are those of all segments, each once."""
        canaries.compare(self._wanted, found, self._release)
        return len(found)


def _batch(  # noqa: PLR0917 - one pass, called in one place
    index: Index,
    chunks: NDArray[np.uint16],
    radius: int,
    cap: int,
    threads: int,
    report: JoinReport,
    progress: Any,
    way: _Way,
) -> tuple[PairArrays, NDArray[np.int64]]:
    """One pass of queries, canaries included, over all segments; checks the canaries and takes them out."""
    one = _Pass(index, radius, threads, way)
    pairs, totals, found = one.compare(index.plain, chunks, cap, progress)
    if index.shared:
        starts, ids = index.held
        parts = []
        for low, high in sharing.slices(len(chunks), len(starts) - 1):
            shared, _, also = one.compare(index.shared, chunks[low:high], NO_CAP, None)
            proven = one.prove(found + also)
            totals[low:high] += sharing.counted(shared, starts, high - low)
            more = sharing.spread(shared, starts, ids, cap, way.nearest)
            parts.append(sharing.merged(pairs, low, high, more, cap, way.nearest))
        pairs = concatenated(parts)
    else:
        proven = one.prove(found)
    counters = one.counters
    report.canaries += proven
    report.visits += counters.visits
    report.candidates += counters.candidates
    report.survivors += counters.survivors
    report.path_cpu_seconds += counters.busiest
    report.plan = "mixed" if len(counters.plans) > 1 else next(iter(counters.plans))
    return pairs, totals


def as_table(parts: list[PairArrays], keys: NDArray[np.int64], name: str) -> pa.Table:
    """Pairs as the table of a `Join`; `keys` are the ids of the query rows."""
    query, known, distance = concatenated(parts)
    return pa.table(
        {
            "query_id": keys[query],
            "known_id": known,
            "distance": distance.astype(np.int32),
            "algorithm": pa.repeat(pa.scalar(name), len(query)),
        }
    )
