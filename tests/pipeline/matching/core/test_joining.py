"""The join against its naive twin, over sizes, radii, degenerate sets and both plans."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.matching import core
from pipeline.matching.core import driver
from pipeline.matching.core.compiled.jit import JIT
from pipeline.matching.core.plan import Plan
from pipeline.settings import ROOT
from tests import naive
from tests.pipeline.matching.core.support import (
    EXAMPLES,
    WAYS,
    Hashes,
    build,
    flipped,
    force_way,
    pairs_of,
    random_hashes,
)


@pytest.fixture(params=["buckets", "scan"])
def forced_plan(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both plans in turn, whatever the cost model would choose."""
    monkeypatch.setattr(Plan, "scan", lambda self, rows, queries: request.param == "scan")
    return str(request.param)


def assert_exact(index: core.Index, known: Any, queries: Hashes, radius: int, **options: Any) -> core.Join:
    """The join gives what comparing each with each gives, in the same order, and so it does without what is compiled."""
    ids = np.arange(len(queries)) * 3
    found = core.join(index, queries, ids, radius=radius, **options)
    interpreted = core.join(index, queries, ids, radius=radius, compiled=False, **options)
    assert interpreted.table.equals(found.table) and interpreted.totals.equals(found.totals)
    assert interpreted.report.canaries == found.report.canaries
    wanted, totals = naive.join(known, pairs_of(queries, ids), radius, options.get("cap"))
    assert naive.rows(found.table) == wanted
    assert found.totals["pairs"].to_pylist() == totals
    assert found.totals["query_id"].to_pylist() == ids.tolist()
    assert found.report.pairs == sum(totals) and found.report.kept == len(wanted)
    return found


@st.composite
def problem(draw: st.DrawFn) -> tuple[int, Hashes, Hashes, int, int | None, str]:
    """Width, known hashes, queries, radius, cap and plan; queries lie at chosen distances, r - 1, r and r + 1 among them."""
    width = draw(st.sampled_from([32, 8]))
    count = draw(st.integers(0, 40))
    known = random_hashes(count, width, draw(st.integers(0, 2**32)))
    for row in draw(st.lists(st.integers(0, max(count - 1, 0)), max_size=8)) if count else []:
        known[row] = draw(st.sampled_from([known[0], np.zeros(width, np.uint8), np.full(width, 255, np.uint8)]))
    bits = width * 8
    radius = draw(
        st.one_of(st.integers(0, bits // 4), st.sampled_from([0, 8, 31, 47, bits])).filter(lambda r: r <= bits)
    )
    queries = []
    for _ in range(draw(st.integers(0, 12))):
        base = known[draw(st.integers(0, count - 1))] if count else np.zeros(width, np.uint8)
        away = min(bits, max(0, draw(st.sampled_from([0, radius // 2, radius - 1, radius, radius + 1]))))
        queries.append(flipped(base, draw(st.permutations(range(bits)))[:away]))
    asked = np.array(queries, np.uint8).reshape(-1, width)
    return width, known, asked, radius, draw(st.sampled_from([None, 1, 3])), draw(st.sampled_from(["buckets", "scan"]))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(problem(), st.integers(1, 3))
def test_join_equals_naive_before_and_after_compaction(case: Any, threads: int) -> None:
    width, known, queries, radius, cap, plan = case
    original = Plan.scan
    Plan.scan = lambda self, rows, count: plan == "scan"  # type: ignore[method-assign]
    try:
        with tempfile.TemporaryDirectory() as place:
            first, second, third = (Path(place) / name for name in ("first", "second", "third"))
            algorithm = "pdq" if width == 32 else "phash64"
            half = len(known) // 2
            build(first, known[:half], algorithm=algorithm)
            added = (np.arange(half, len(known), dtype=np.int64), known[half:])
            core.extend_index(first, second, [added], [], release="8")
            core.compact_index(second, third)
            for folder in (second, third):
                options = {"cap": cap, "threads": threads}
                assert_exact(core.open_index(folder), pairs_of(known), queries, radius, **options)
    finally:
        Plan.scan = original  # type: ignore[method-assign]


@pytest.mark.parametrize("copies", [1, 2, 3, 4, 5, 8, 16])
@pytest.mark.parametrize("algorithm", ["pdq", "phash64"])
def test_few_identical_hashes_are_found_after_every_save(
    tmp_path: Path, copies: int, algorithm: str, forced_plan: str
) -> None:
    """The sets that other indexes lose when they are written and read back."""
    width = 32 if algorithm == "pdq" else 8
    known = np.repeat(random_hashes(1, width, 5), copies, axis=0)
    index = build(tmp_path / "a", known, algorithm=algorithm)
    core.compact_index(tmp_path / "a", tmp_path / "b")
    for opened in (index, core.open_index(tmp_path / "b")):
        found = assert_exact(opened, pairs_of(known), known[:1], 8)
        assert found.table.num_rows == copies
        assert found.report.plan == forced_plan


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("radius", [0, 31, 47, 100])
def test_uniform_bytes(tmp_path: Path, value: int, radius: int, forced_plan: str) -> None:
    known = np.concatenate([np.full((3, 32), value, np.uint8), random_hashes(20, 32, 3)])
    index = build(tmp_path / "i", known)
    assert_exact(index, pairs_of(known), np.array([np.full(32, 0), np.full(32, 255)], np.uint8), radius)


@pytest.mark.skipif(not JIT, reason="65,536 entries per bucket take minutes as plain Python")
def test_more_entries_in_a_bucket_than_16_bits_count(tmp_path: Path) -> None:
    """Flooded hash: the nearest are kept, the full count is right, memory stays bounded by the cap."""
    known = np.zeros((70_000, 32), np.uint8)
    known[:, 31] = np.arange(70_000) % 7 == 0
    queries = np.zeros((40, 32), np.uint8)
    index = build(tmp_path / "i", known)
    found = core.join(index, queries, np.arange(40), radius=31, cap=5, threads=2)
    assert found.totals["pairs"].to_pylist() == [70_000] * 40
    assert found.report.plan == "buckets"
    far = [k for k in range(20) if k % 7][:5]
    assert naive.rows(found.table) == [(q, k, 0) for q in range(40) for k in far]
    assert found.report.capped_queries == 40


@pytest.mark.skipif(not JIT, reason="needs many queries")
def test_results_are_reduced_to_the_nearest_when_a_buffer_fills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.matching.core import driver

    monkeypatch.setattr(driver, "PRUNE", 2**10)
    monkeypatch.setattr(driver, "ROOM", 2**8)
    known = np.zeros((600, 32), np.uint8)
    known[:, 0] = np.arange(600) % 3
    index = build(tmp_path / "i", known)
    assert_exact(index, pairs_of(known), np.zeros((60, 32), np.uint8), 31, cap=7, threads=2)


@pytest.mark.skipif(not JIT, reason="needs many hashes")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("algorithm", "radius"), [("pdq", 31), ("pdq", 47), ("phash256", 33), ("phash64", 8), ("dhash64", 11)]
)
def test_clustered_hashes_in_dense_buckets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str, radius: int, way: tuple[bool, bool]
) -> None:
    """Clusters fill a few buckets so much that the dense path is taken; faiss counts independently in test_oracle."""
    force_way(monkeypatch, way)
    rng = np.random.default_rng(11)
    width = 32 if algorithm in {"pdq", "phash256"} else 8
    centres = random_hashes(3, width, 1)
    known = centres[rng.integers(0, 3, 2500)] ^ np.packbits(rng.random((2500, width * 8)) < 0.05, axis=1)
    queries = centres[rng.integers(0, 3, 60)] ^ np.packbits(rng.random((60, width * 8)) < 0.05, axis=1)
    index = build(tmp_path / "i", known, algorithm=algorithm)
    bits = np.bitwise_count(queries[:, None, :] ^ known[None]).sum(axis=2)
    found = core.join(index, queries, np.arange(60), radius=radius, threads=1)
    assert found.report.plan == "buckets"
    assert found.totals["pairs"].to_pylist() == (bits <= radius).sum(axis=1).tolist()
    wanted = [
        (q, k, int(bits[q, k]))
        for q in range(60)
        for k in np.lexsort((np.arange(2500), bits[q]))
        if bits[q, k] <= radius
    ]
    assert naive.rows(found.table) == wanted


@pytest.mark.parametrize("way", WAYS if JIT else WAYS[-1:])
@pytest.mark.parametrize("cap", [None, 1, 30])
@pytest.mark.parametrize(("algorithm", "radius"), [("pdq", 31), ("phash64", 8)])
def test_buckets_in_tiles_with_withdrawn_hashes_and_a_cap(  # noqa: PLR0917 - one argument a parameter
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    algorithm: str,
    radius: int,
    cap: int | None,
    way: tuple[bool, bool],
) -> None:
    """Dense buckets are compared in tiles of 32: withdrawn hashes stay out, capped queries keep the nearest."""
    from pipeline.matching.core.compiled.vectors import TILE

    force_way(monkeypatch, way)
    rng = np.random.default_rng(12)
    width = 32 if algorithm == "pdq" else 8
    count, asked = (400, 40) if JIT else (90, 6)
    centre = random_hashes(1, width, 1)
    known = centre ^ np.packbits(rng.random((count, width * 8)) < 0.04, axis=1)
    known[: TILE + 8] = centre  # ties at every distance that is asked for
    queries = centre ^ np.packbits(rng.random((asked, width * 8)) < 0.03, axis=1)
    build(tmp_path / "a", known, algorithm=algorithm)
    gone = np.arange(0, count, 3)
    core.extend_index(tmp_path / "a", tmp_path / "b", [], gone, release="8")
    monkeypatch.setattr(Plan, "scan", lambda self, rows, queries: False)
    standing = [pair for pair in pairs_of(known) if pair[0] % 3]
    found = assert_exact(core.open_index(tmp_path / "b"), standing, queries, radius, cap=cap, threads=2)
    assert found.report.plan == "buckets" and found.report.pairs > asked


@pytest.mark.skipif(not JIT, reason="needs many hashes")
@pytest.mark.parametrize("radius", [31, 47])
def test_each_way_and_a_small_buffer_give_the_same_pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, radius: int
) -> None:
    """Buckets that fill the buffer are left and taken up again at the query that was next."""
    rng = np.random.default_rng(13)
    known = np.concatenate([random_hashes(20_000, 32, 1), random_hashes(1, 32, 2).repeat(900, axis=0)])
    known[20_000:] ^= np.packbits(rng.random((900, 256)) < 0.06, axis=1)
    queries = np.concatenate([random_hashes(500, 32, 3), known[rng.integers(0, len(known), 1500)]])
    queries[500:] ^= np.packbits(rng.random((1500, 256)) < 0.04, axis=1)
    index = build(tmp_path / "i", known)
    bits = np.array([np.bitwise_count(query ^ known).sum(axis=1) for query in queries])
    for way in WAYS:
        force_way(monkeypatch, way)
        monkeypatch.setattr(driver, "ROOM", 64)
        found = core.join(index, queries, np.arange(len(queries)), radius=radius)
        assert found.report.plan == "buckets"
        assert found.totals["pairs"].to_pylist() == (bits <= radius).sum(axis=1).tolist()
        pairs = found.table["query_id"].to_numpy(), found.table["known_id"].to_numpy()
        assert (bits[pairs] == found.table["distance"].to_numpy()).all()
        assert len(np.unique(np.stack(pairs), axis=1).T) == (bits <= radius).sum()


def test_threads_and_passes_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = random_hashes(50, 32, 2)
    queries = np.concatenate([known[:20], known[:20] ^ np.uint8(1)])
    index = build(tmp_path / "i", known)
    one = core.join(index, queries, np.arange(40), radius=40, cap=2, threads=1)
    monkeypatch.setattr("pipeline.matching.core.joining.QUERY_BATCH", 7)
    several = core.join(index, queries, np.arange(40), radius=40, cap=2, threads=3)
    assert several.table.equals(one.table) and several.totals.equals(one.totals)
    assert several.report.passes == 6


def test_a_pass_of_more_queries_than_a_waiting_pair_can_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.matching.core.driver.MOST_QUERIES", 99)
    index = build(tmp_path / "i", random_hashes(3, 32, 1))
    assert core.join(index, random_hashes(3, 32, 2), np.arange(3), radius=31).report.canaries == 96
    with pytest.raises(ValueError, match="196 queries of one pass"):
        core.join(index, random_hashes(100, 32, 2), np.arange(100), radius=31)


def test_empty_store_and_empty_query(tmp_path: Path) -> None:
    index = build(tmp_path / "i", np.empty((0, 32), np.uint8))
    assert index.rows == 0
    assert_exact(index, [], random_hashes(4, 32, 1), 31)
    full = build(tmp_path / "j", random_hashes(4, 32, 1))
    found = core.join(full, np.empty((0, 32), np.uint8), [], radius=31)
    assert found.table.num_rows == 0 and found.table.schema.names == ["query_id", "known_id", "distance", "algorithm"]
    assert found.report.canaries == 96


def test_arrow_columns_are_taken_and_types_are_stated(tmp_path: Path) -> None:
    known = random_hashes(5, 32, 1)
    index = build(tmp_path / "i", known)
    column = pa.chunked_array(
        [pa.array([h.tobytes() for h in known[:2]], pa.binary(32)), pa.array([known[2].tobytes()], pa.binary(32))]
    )
    found = core.join(index, column, pa.array([10, 11, 12]), radius=0)
    assert naive.rows(found.table) == [(10, 0, 0), (11, 1, 0), (12, 2, 0)]
    assert found.table["algorithm"].to_pylist() == ["pdq"] * 3
    assert [str(t) for t in found.table.schema.types] == ["int64", "int64", "int32", "string"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"radius": 257}, "Radius 257"),
        ({"radius": -1}, "Radius -1"),
        ({"cap": 0}, "Cap 0"),
        ({"threads": 0}, "0 threads"),
        ({"ids": np.arange(3)}, "3 ids were given for 2 hashes"),
        ({"hashes": np.zeros((2, 8), np.uint8)}, "shape"),
        ({"hashes": pa.array([None, b"0" * 32], pa.binary(32))}, "null"),
    ],
)
def test_wrong_input_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    index = build(tmp_path / "i", random_hashes(2, 32, 1))
    arguments = {"hashes": np.zeros((2, 32), np.uint8), "ids": np.arange(2), "radius": 3} | change
    with pytest.raises(UsageError, match=message):
        core.join(index, arguments.pop("hashes"), arguments.pop("ids"), **arguments)


def test_progress_ends_at_its_total(tmp_path: Path) -> None:
    index = build(tmp_path / "i", random_hashes(30, 32, 1))
    seen: list[tuple[int, int]] = []
    core.join(index, random_hashes(3, 32, 2), np.arange(3), radius=31, progress=lambda d, t: seen.append((d, t)))
    assert seen and seen[-1][0] == seen[-1][1]
    assert [d for d, _ in seen] == sorted(d for d, _ in seen)


WARMED = """
import sys
from pathlib import Path
import numpy as np
from pipeline.matching import core
from pipeline.matching.core.compiled.jit import compiled_signatures
from tests.pipeline.matching.core.test_joining import build, random_hashes

index = build(Path(sys.argv[1]), random_hashes(30, 32, 1))
core.join(index, random_hashes(3, 32, 2), np.arange(3), radius=31)
before = compiled_signatures()
again = build(Path(sys.argv[2]), random_hashes(30, 32, 1))
for radius in (0, 31, 47, 100):
    report = core.join(again, random_hashes(300, 32, 2), np.arange(300), radius=radius, cap=3).report
    print(report.compile_seconds, compiled_signatures() - before)
"""


def test_no_kernel_is_compiled_after_the_warm_up(tmp_path: Path) -> None:
    """Seconds of compilation are reported apart; a join after the first may not compile anything. In a process of its own, in
    which no other test has made a kernel ready."""
    command = [sys.executable, "-c", WARMED, str(tmp_path / "i"), str(tmp_path / "j")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["0.0", "0"] * 4
