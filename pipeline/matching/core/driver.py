"""Runs the kernels over tables and bucket ranges, in threads, with memory that a flood of pairs cannot exhaust.

Each worker owns its buffers; kernels hold no lock, so that threads scale. When a worker's pairs fill its buffer they are
reduced to the nearest of each query before the buffer may grow: at most cap pairs per query and worker are ever kept.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.matching.core.compiled import kernels, nibbles, verification
from pipeline.matching.core.compiled.vectors import LANES, TILE
from pipeline.matching.core.groups import comparing
from pipeline.matching.core.index.manifest import MOST_ROWS
from pipeline.matching.core.index.store import MappedSegment
from pipeline.matching.core.pairs import NO_CAP, Collected, JoinCounters, PairArrays, Queries
from pipeline.matching.core.plan import Plan, most_masks
from pipeline.matching.core.selection import nearest

ROOM = 2**13
"""Pairs that wait for their full distance, so few that they stay in the cache; more where a single bucket is larger."""

SCAN_ROWS, SCAN_QUERIES = 4096, 64
"""Block of the linear scan: the rows stay in the first-level cache while the queries pass over them."""

PRUNE = 2**24
"""Results of a worker from which on they are reduced to the nearest before their buffer grows (14 bytes each)."""

MOST_QUERIES = 2**24
"""Queries of a pass, canaries included: a pair that waits has 24 bits for its query."""

SHARE = 2**20
"""Results held in one piece of memory."""

DISTANCES = 64
"""Largest radius for which the kept pairs are counted by distance, so that farther ones need not be kept."""

EACH_ENTRY, EACH_QUERY = (2, 2) if nibbles.USED else (0, 4)
"""What making an entry ready for vectors of queries costs, and a query for vectors of entries, in comparisons of a vector."""

SPARSE = 2**15
"""Queries, below which most of the 65,536 values of a chunk have none."""

PIECES = 4
"""Bucket ranges that a table is split into: enough for even work and a moving progress bar."""


@dataclass(frozen=True)
class Groups:
    """The queries in bucket order of one table; see `kernels.group_queries`."""

    offsets: NDArray[np.int32]
    words: NDArray[np.uint32]
    index: NDArray[np.uint32]

    @cached_property
    def occupied(self) -> NDArray[np.uint8]:
        """A bit for each of the 65,536 values, set where queries have it, uint8 (8192,)."""
        return np.packbits(self.offsets[1:] != self.offsets[:-1], bitorder="little")


def _aligned(count: int) -> NDArray[np.uint32]:
    """Zeros, uint32, that begin at a whole line of 64 bytes as the vector primitives ask."""
    raw = np.zeros(count + 16, np.uint32)
    start = -raw.ctypes.data % 64 // 4
    return raw[start : start + count]


def _room(pairs: int) -> PairArrays:
    return np.empty(pairs, np.uint32), np.empty(pairs, np.int64), np.empty(pairs, np.uint16)


class JoinThread:
    """The buffers of one thread: pending pairs, results, totals of each query and counters."""

    def __init__(self, queries: Queries, room: int, radius: int) -> None:
        n, m = queries.chunks.shape
        self.queries = queries
        self.asked = (queries.chunks, queries.real)
        planes = _aligned((room // 32 + 2) * nibbles.BLOCK // 4 if nibbles.USED else 16).view(np.uint8)
        q_planes = _aligned((n // 32 + 4) * nibbles.BLOCK // 4 if nibbles.USED else 16).view(np.uint8)
        near = np.zeros(most_masks() + 1, np.int64)
        self.block = (
            _aligned(n + 128), np.zeros(n + 16, np.uint32), np.zeros(n + 192, np.uint8), planes, q_planes, nibbles.look_up(),
            near, np.zeros(32, np.uint32),
        )  # fmt: skip
        self.pending = np.zeros(room, np.int64)
        bins = (MOST_ROWS >> verification.BIN) + 1
        self.order = np.zeros(room, np.int64), np.zeros(room, np.int64), np.zeros(bins, np.int64)
        lanes = room + 2 * TILE
        self.tile = (
            _aligned(lanes * m // 2).view(np.uint16), np.zeros(lanes, np.int64), np.zeros(lanes // TILE + 1, np.int64),
            np.zeros(lanes // TILE + 1, np.int64), _aligned((m + 1) * TILE // 2).view(np.uint16),
        )  # fmt: skip
        self.grouped = (
            _aligned(comparing.BLOCK * comparing.CHUNKS // 2), _aligned(comparing.CHUNKS * nibbles.BLOCK // 4).view(np.uint8),
            _aligned(comparing.SLOTS * TILE // 2).view(np.uint16), np.zeros(comparing.SLOTS, np.int64),
            np.zeros(comparing.SLOTS, np.int64), np.zeros(radius + 1, np.int64), np.zeros(comparing.BLOCK, np.int64), self.block[5],
        )  # fmt: skip
        self.group_counts = np.zeros(5, np.int64)
        self.totals = np.zeros(n, np.int64)
        self.farthest = np.full(n + 1, radius, np.uint16)
        counting = queries.real if queries.cap < NO_CAP and radius <= DISTANCES else 0
        self.seen, self.counted = np.zeros((counting + 1, radius + 1), np.uint16), np.zeros(counting + 1, np.int32)
        self.counts = np.zeros(6, np.int64)
        self.survivors = 0
        self.full: list[PairArrays] = []
        self.out = 0
        self.pairs = _room(room)

    @property
    def sink(self) -> tuple[Any, ...]:
        """Where the kernels put results, see `verification.py`."""
        return (*self.pairs, self.totals, self.seen, self.counted, self.farthest, self.queries.cap)

    def reserve(self, more: int) -> None:
        """Make room for `more` results; what is beyond the cap is dropped before memory grows beyond PRUNE pairs."""
        if self.out + more <= len(self.pairs[0]):
            return
        kept = self.found
        if self.queries.cap < NO_CAP and sum(len(part[0]) for part in kept) >= PRUNE:
            kept = [nearest(kept, 0, self.queries.count, self.queries.cap, self.queries.real)]
        self.full, self.out = kept, 0
        self.pairs = _room(max(more, SHARE))

    @property
    def found(self) -> list[PairArrays]:
        """The results so far."""
        query, ids, distances = self.pairs
        return [*self.full, (query[: self.out], ids[: self.out], distances[: self.out])]

    def buckets(
        self, segment: MappedSegment, table: int, buckets: NDArray[np.int64], groups: Groups, plan: Plan
    ) -> None:
        """Visit some buckets of one table."""
        grouped = (groups.offsets, groups.words, groups.index, groups.occupied)
        stored, target = segment.stored(table), (table, plan.rules, plan.radius)
        by_queries = self._by_queries(len(stored[1]), int(plan.levels[plan.budgets[table]]))
        probes = (plan.masks, plan.levels, plan.limits[table], by_queries, self.queries.count < SPARSE)
        position, counts = 0, self.counts
        while position < len(buckets):
            self.reserve(len(self.pending))
            counts[kernels.OUT], counts[kernels.TILED] = self.out, 0
            position = kernels.scan_buckets(
                buckets, position, grouped, self.asked, probes, self.block, self.pending, counts, stored, self.tile, target,
                self.sink,
            )  # fmt: skip
            self.out = int(counts[kernels.OUT])
            pending = int(counts[kernels.PENDING])
            counts[kernels.PENDING] = 0
            self.survivors += pending + int(counts[kernels.TILED])
            self.reserve(pending)
            self.out = verification.verify(
                pending, self.pending, stored, self.asked, target, self.order, self.sink, self.out
            )

    def groups(self, segment: MappedSegment, first: int, last: int, plan: Plan) -> None:
        """Compare the queries [first, last) with the groups of a segment."""
        groups, counts = segment.groups, self.group_counts
        if groups is None:
            raise ValueError(f"segment {segment.segment.name} has no groups")
        stored = groups.stored
        near = np.empty((comparing.BLOCK, len(groups.reach)), np.uint32)
        counts[:] = 0
        counts[comparing.LANE] = -1
        while first < last:
            self.reserve(comparing.SLOTS * TILE)
            counts[comparing.OUT] = self.out
            first = comparing.scan_groups(
                first, last, self.asked, self.grouped, counts, stored, plan.radius, near, self.sink
            )
            self.out = int(counts[comparing.OUT])
        self.survivors += int(counts[comparing.MEMBERS])

    def _by_queries(self, rows: int, masks: int) -> bool:
        """Whether a vector holds the queries near a bucket, and not its entries: whichever takes fewer comparisons of a vector.

        One way is taken for all buckets of a table, so that the canaries prove it; `rows` and `masks` are those of the table.
        """
        lanes = TILE if nibbles.USED else LANES
        entries, asked = rows / 65536, self.queries.count * masks / 65536
        return entries * (EACH_ENTRY + asked // lanes + 1) < asked * (EACH_QUERY + entries // lanes + 1)

    def scan(self, segment: MappedSegment, start: int, stop: int, plan: Plan) -> None:
        """Compare some rows with all queries."""
        n = self.queries.count
        stored, last_of = segment.stored(0), segment.last_groups
        for first in range(0, n, SCAN_QUERIES):
            last = min(first + SCAN_QUERIES, n)
            self.reserve((last - first) * (stop - start))
            self.out = verification.scan_rows(
                start, stop, first, last, stored, last_of, self.asked, plan.radius, self.sink, self.out
            )
        self.survivors += (stop - start) * n


JoinTask = Callable[[JoinThread], None]


def run(  # noqa: PLR0917 - one pass, called in one place
    segments: list[MappedSegment],
    queries: Queries,
    plan: Plan,
    threads: int,
    counters: JoinCounters,
    progress: Callable[[int, int], None] | None,
) -> Collected:
    """Compare all queries with all rows of these segments. `progress(done, total)` is called from the calling thread or a worker."""
    if queries.count > MOST_QUERIES:
        raise ValueError(f"{queries.count} queries of one pass are more than {MOST_QUERIES}")
    groups: dict[int, Groups] = {}
    scanned = [plan.too_deep or plan.scan(s.segment.total, queries.count) for s in segments]
    if not all(scanned):
        steps = [partial(_group, queries, i, groups) for i in plan.tables]
        counters.busiest += _each(steps, [None] * threads, None)
    tasks: list[JoinTask] = []
    room = ROOM
    for segment, linear in zip(segments, scanned, strict=True):
        counters.plans.add("scan" if linear else "buckets")
        if linear:
            room = max(room, SCAN_ROWS * SCAN_QUERIES)
            tasks += _scan_tasks(segment, plan)
        else:
            room = max(room, *(segment.largest(i) for i in plan.tables))
            # Before the tables, which then need not keep what is farther than enough of these pairs.
            tasks += _group_tasks(segment, queries, plan)
            tasks += _bucket_tasks(segment, queries, groups, plan)
    workers = [JoinThread(queries, room, plan.radius) for _ in range(threads)]
    counters.busiest += _each(tasks, workers, progress)
    for worker in workers:
        counters.visits += int(worker.counts[kernels.VISITS])
        counters.candidates += int(worker.counts[kernels.CANDIDATES])
        counters.survivors += worker.survivors
    pairs = _selected(workers, queries, counters)
    return Collected(pairs, np.sum([w.totals for w in workers], axis=0))


def _selected(workers: list[JoinThread], queries: Queries, counters: JoinCounters) -> PairArrays:
    """The nearest pairs of all workers, each query range on one thread."""
    found = [part for worker in workers for part in worker.found if len(part[0])]
    bounds = [queries.count * k // len(workers) for k in range(len(workers) + 1)]
    done: dict[int, PairArrays] = {}

    def select(k: int, _: JoinThread) -> None:
        done[k] = nearest(found, bounds[k], bounds[k + 1], queries.cap, queries.real)

    counters.busiest += _each([partial(select, k) for k in range(len(workers))], workers, None)
    query, ids, distances = (np.concatenate([done[k][c] for k in range(len(workers))]) for c in range(3))
    return query, ids, distances


def _group(queries: Queries, table: int, into: dict[int, Groups], _: None) -> None:
    n = queries.count
    groups = Groups(np.zeros(65537, np.int32), np.zeros(n + 16, np.uint32), np.zeros(n + 16, np.uint32))
    kernels.group_queries(queries.chunks, table, groups.offsets, groups.words, groups.index)
    into[table] = groups


def _scan_tasks(segment: MappedSegment, plan: Plan) -> Iterator[JoinTask]:
    total = segment.segment.total
    for start in range(0, total, SCAN_ROWS):
        stop = min(start + SCAN_ROWS, total)
        yield partial(_scan, segment, start, stop, plan)


def _group_tasks(segment: MappedSegment, queries: Queries, plan: Plan) -> Iterator[JoinTask]:
    if segment.groups is None:
        return
    size = max(1, -(-queries.count // (PIECES * comparing.BLOCK))) * comparing.BLOCK
    for start in range(0, queries.count, size):
        yield partial(_near_groups, segment, start, min(start + size, queries.count), plan)


def _near_groups(segment: MappedSegment, start: int, stop: int, plan: Plan, worker: JoinThread) -> None:
    worker.groups(segment, start, stop, plan)


def _bucket_tasks(
    segment: MappedSegment, queries: Queries, groups: dict[int, Groups], plan: Plan
) -> Iterator[JoinTask]:
    for table in plan.tables:
        buckets = segment.filled(table)
        masks = plan.masks[: plan.levels[plan.budgets[table]]]
        if queries.count * len(masks) * 4 < len(buckets):
            near = np.unique(queries.chunks[:, table].astype(np.int64)[:, None] ^ masks[None, :])
            buckets = near[np.isin(near, buckets)]
        size = max(1, -(-len(buckets) // PIECES))
        for start in range(0, len(buckets), size):
            piece = buckets[start : start + size]
            yield partial(_visit, segment, table, piece, groups[table], plan)


def _scan(segment: MappedSegment, start: int, stop: int, plan: Plan, worker: JoinThread) -> None:
    worker.scan(segment, start, stop, plan)


def _visit(  # noqa: PLR0917 - a task: all but the worker is bound when it is made
    segment: MappedSegment, table: int, buckets: NDArray[np.int64], groups: Groups, plan: Plan, worker: JoinThread
) -> None:
    worker.buckets(segment, table, buckets, groups, plan)


def _each(tasks: list[Any], workers: list[Any], progress: Callable[[int, int], None] | None) -> float:
    """Do every task once, each worker one at a time; the first error stops all and is raised.

    Returns the CPU seconds of the busiest thread besides the calling one.
    """
    lock, waiting, done = threading.Lock(), iter(tasks), 0
    failed = threading.Event()

    def serve(worker: Any) -> float:
        nonlocal done
        began = time.thread_time()
        while not failed.is_set():
            with lock:
                task = next(waiting, None)
            if task is None:
                break
            try:
                task(worker)
            except BaseException:
                failed.set()
                raise
            with lock:
                done += 1
                if progress is not None:
                    progress(done, len(tasks))
        return time.thread_time() - began

    if len(workers) == 1:
        serve(workers[0])
        return 0.0
    with ThreadPoolExecutor(len(workers), thread_name_prefix="matching") as pool:
        futures = [pool.submit(serve, worker) for worker in workers]
        return max([future.result() for future in futures])
