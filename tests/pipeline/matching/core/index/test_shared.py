"""Hashes that many known media share, stored once: the same pairs as ever, through extension, withdrawal and compaction."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import CanaryError, IntegrityError
from pipeline.matching import core
from pipeline.matching.core import sharing
from pipeline.matching.core.index import build as building
from pipeline.matching.core.index import shared
from pipeline.matching.core.index.store import Index
from tests import naive
from tests.pipeline.matching.core import earlier
from tests.pipeline.matching.core.support import EXAMPLES, Hashes, build, flipped, pairs_of, random_hashes

Pairs = list[tuple[int, bytes]]


def alike(bases: Hashes, copies: list[int], seed: int = 1) -> Hashes:
    """Each base so many times, mixed."""
    return np.random.default_rng(seed).permutation(np.repeat(bases, copies, axis=0))


def assert_exact(folder: Path, known: Pairs, queries: Hashes, radius: int, cap: int | None) -> core.Join:
    found = core.join(core.open_index(folder), queries, np.arange(len(queries)), radius=radius, cap=cap)
    wanted, totals = naive.join(known, pairs_of(queries), radius, cap)
    assert naive.rows(found.table) == wanted
    assert found.totals["pairs"].to_pylist() == totals
    assert (found.report.pairs, found.report.kept) == (sum(totals), len(wanted))
    ids = np.arange(len(queries))
    interpreted = core.join(core.open_index(folder), queries, ids, radius=radius, cap=cap, compiled=False)
    assert interpreted.table.equals(found.table) and interpreted.totals.equals(found.totals)
    return found


@st.composite
def problem(draw: st.DrawFn) -> tuple[Any, ...]:
    """Few different hashes, some of them near each other, many copies; queries near them; a part that comes later; ids withdrawn."""
    width = draw(st.sampled_from([32, 8]))
    radius = draw(st.sampled_from([0, 8, 31 if width == 32 else 15]))
    bases = list(random_hashes(draw(st.integers(1, 3)), width, draw(st.integers(0, 2**32))))
    for _ in range(draw(st.integers(0, 2))):
        bases.append(flipped(bases[0], draw(st.permutations(range(width * 8)))[: draw(st.sampled_from([1, radius]))]))
    copies = [draw(st.integers(1, 9)) for _ in bases]
    known = alike(np.array(bases), copies, draw(st.integers(0, 99)))
    ids = draw(st.permutations(range(2 * len(known))))[: len(known)]
    queries = [
        flipped(
            draw(st.sampled_from(bases)), draw(st.permutations(range(width * 8)))[: draw(st.integers(0, radius + 1))]
        )
        for _ in range(draw(st.integers(1, 5)))
    ]
    gone = draw(st.lists(st.sampled_from(ids), max_size=len(ids)))
    cap = draw(st.sampled_from([None, 1, 2, 5, 100]))
    return width, known, ids, np.array(queries), radius, cap, draw(st.integers(0, len(known))), gone


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(problem(), st.sampled_from([1, 2]), st.sampled_from([1, 7, 2**21]))
def test_pairs_are_those_of_the_naive_twin(case: tuple[Any, ...], most: int, held: int) -> None:
    width, known, ids, queries, radius, cap, first, gone = case
    standing = [p for k, p in enumerate(pairs_of(known, ids)) if k >= first or p[0] not in gone]
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as place:
        patch.setattr(shared, "MOST_ALIKE", most)
        patch.setattr(sharing, "MOST_PAIRS", held)
        one, two, three = (Path(place) / name for name in ("one", "two", "three"))
        build(one, known[:first], ids[:first], algorithm="pdq" if width == 32 else "phash64")
        assert_exact(one, pairs_of(known[:first], ids[:first]), queries, radius, cap)
        core.extend_index(one, two, [(np.array(ids[first:], np.int64), known[first:])], gone, release="8")
        core.compact_index(two, three)
        for folder in (two, three):
            assert core.open_index(folder).rows == len(standing)
            assert_exact(folder, standing, queries, radius, cap)
        assert all(not s.segment.gone for s in core.open_index(three).shared)


def test_a_hash_of_many_is_one_row_and_its_ids(tmp_path: Path) -> None:
    bases = random_hashes(3, 32, 5)
    known = alike(bases, [500, 1, 40])
    index = build(tmp_path / "a", known)
    plain, of_many = index.manifest.segments
    assert (plain.rows, plain.holders) == (2 * shared.MOST_ALIKE + 1, 0)
    assert (of_many.rows, of_many.holders) == (2, 500 + 40 - 2 * shared.MOST_ALIKE)
    found = assert_exact(tmp_path / "a", pairs_of(known), np.concatenate([bases, bases]), 31, 100)
    assert found.report.capped_queries == 2 and found.report.canaries > 0


def test_the_work_for_a_query_does_not_follow_the_number_of_alike(tmp_path: Path) -> None:
    base = random_hashes(1, 32, 6)
    survivors = []
    for copies in (100, 100_000):
        build(tmp_path / str(copies), alike(base, [copies]))
        found = core.join(core.open_index(tmp_path / str(copies)), base, [1], radius=31, cap=20)
        assert found.totals["pairs"].to_pylist() == [copies]
        assert sorted(found.table["known_id"].to_pylist()) == list(range(20))
        survivors.append(found.report.survivors)
    assert survivors[0] == survivors[1]


def test_a_full_segment_of_ids_is_followed_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "MOST_ALIKE", 1)
    monkeypatch.setattr(building, "SEGMENT_ROWS", 16 + 30)
    monkeypatch.setattr(building, "STEP", 10)
    known = alike(random_hashes(4, 32, 7), [25, 3, 30, 2])
    index = build(tmp_path / "a", known)
    assert len(index.shared) > 1 and [s.segment.name for s in index.segments] == sorted(
        s.segment.name for s in index.segments
    )
    assert_exact(tmp_path / "a", pairs_of(known), known[:5], 31, None)
    assert_exact(tmp_path / "a", pairs_of(known), known[:5], 31, 7)


def test_an_earlier_format_is_read_and_extended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shared hashes of the second format, and a first format, which has none, to which some come."""
    known = alike(random_hashes(2, 32, 8), [4, 6])
    build(tmp_path / "a", known[:5])
    earlier.write_as(tmp_path / "a", 1)
    assert_exact(tmp_path / "a", pairs_of(known[:5]), known, 31, None)
    monkeypatch.setattr(shared, "MOST_ALIKE", 1)
    core.extend_index(tmp_path / "a", tmp_path / "b", [(np.arange(5, 10), known[5:])], [0, 1], release="8")
    assert core.open_index(tmp_path / "b").manifest.format == 4
    assert_exact(tmp_path / "b", [p for p in pairs_of(known) if p[0] > 1], known, 31, None)
    build(tmp_path / "c", known)
    earlier.write_as(tmp_path / "c", 2)
    assert [bool(s.segment.holders) for s in core.open_index(tmp_path / "c").segments] == [False, True]
    assert_exact(tmp_path / "c", pairs_of(known), known, 31, None)
    core.compact_index(tmp_path / "c", tmp_path / "d")
    assert_exact(tmp_path / "d", pairs_of(known), known, 31, None)


@pytest.fixture
def of_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index with a segment of shared hashes, `segment-0001`, of which one id is withdrawn."""
    monkeypatch.setattr(shared, "MOST_ALIKE", 1)
    build(tmp_path / "a", alike(random_hashes(2, 32, 9), [4, 6]))
    core.extend_index(tmp_path / "a", tmp_path / "b", [], [3, 4, 5, 6], release="8")
    return tmp_path / "b"


@pytest.mark.parametrize("name", ["segment-0001/starts.i64", "segment-0001/holders.i64", "segment-0001-2.gone"])
def test_every_flipped_bit_is_refused_before_use(of_many: Path, name: str) -> None:
    path = of_many / name
    original = path.read_bytes()
    for at in range(0, len(original), 5):
        data = bytearray(original)
        data[at] ^= 1 << at % 8
        path.write_bytes(data)
        with pytest.raises(IntegrityError, match=r"altered.*triage index build"):
            core.join(core.open_index(of_many), random_hashes(1, 32, 9), [0], radius=31)
    path.write_bytes(original[:-1])
    with pytest.raises(IntegrityError, match=r"has \d+ bytes instead of \d+"):
        core.open_index(of_many)


@pytest.mark.parametrize(("member", "value"), [("holders", 0), ("holders", 9), ("gone", 99), ("rows", 5), ("gone", -1)])
def test_counts_that_cannot_be_are_refused(of_many: Path, member: str, value: int) -> None:
    path = of_many / "manifest.json"
    data = json.loads(path.read_text())
    data["segments"][1][member] = value
    data.pop("digest")
    data["digest"] = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps(data))
    with pytest.raises(IntegrityError, match="says what cannot be"):
        core.open_index(of_many)


def test_numbers_and_ids_without_an_order_are_refused(of_many: Path) -> None:
    for change in ("ids", "starts"):
        index = core.open_index(of_many)
        segment = index.shared[0]
        assert segment.holders is not None
        if change == "ids":
            segment.ids = np.array(segment.ids) + 1
        else:
            segment.holders.starts = np.array(segment.holders.starts)[::-1]
        with pytest.raises(IntegrityError, match=r"not counted on|have no order"):
            index.ensure_checked()


def test_a_fault_among_shared_hashes_is_caught_by_canaries(of_many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = core.open_index(of_many)
    monkeypatch.setattr(Index, "ensure_checked", lambda self, **_: None)
    segment = index.shared[0]
    broken = np.array(segment.hashes)
    broken[-1] ^= np.uint16(1)
    broken.flags.writeable = False
    segment.hashes = broken
    with pytest.raises(CanaryError, match="self-check"):
        core.join(index, random_hashes(1, 32, 9), [0], radius=31)
