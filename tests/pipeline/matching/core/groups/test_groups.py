"""Groups of near-identical hashes: the same pairs as comparing each with each, whatever is grouped, and faults that do not get out."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import CanaryError, IntegrityError
from pipeline.matching import core
from pipeline.matching.core import few
from pipeline.matching.core.compiled.jit import JIT
from pipeline.matching.core.groups import comparing, finding
from pipeline.matching.core.index import build as building
from pipeline.matching.core.index.bitorder import to_hashes
from pipeline.matching.core.index.store import Index
from tests import naive
from tests.pipeline.matching.core import earlier
from tests.pipeline.matching.core.groups.clusters import beyond, chain, spread
from tests.pipeline.matching.core.support import Hashes, build, flipped, pairs_of, random_hashes

EXAMPLES = 80 if JIT else 3
SIZES = (1, 2, 3, 4, 31, 32, 33, 64, 65)
FILES = ["firsts.u32", "centres.u32", "reach.u16", "tiles.u16", "members.u32", "holds.i64"]


@pytest.fixture
def clustered(tmp_path: Path) -> Index:
    """Two groups, and others."""
    known = np.concatenate([spread(70, 6, 1), random_hashes(30, 32, 2), spread(40, 10, 3)])
    return build(tmp_path / "a", known)


def near_edges(index: Index, radius: int, rng: np.random.Generator) -> list[Hashes]:
    """Queries `radius` - 1, `radius` and `radius` + 1 from members of groups, on the far side of their centre."""
    out = []
    for segment in index.segments:
        groups = segment.groups
        if groups is None:
            continue
        centres = to_hashes(np.asarray(groups.centres).view(np.uint16).reshape(-1, 16))
        for group in rng.permutation(len(centres))[:2]:
            places = np.arange(32 * int(groups.firsts[group]), 32 * int(groups.firsts[group + 1]))
            rows = groups.members[places]
            rows = rows[rows < segment.segment.rows].astype(np.int64)
            if len(rows):
                row = int(rng.choice(rows))
                member = to_hashes(segment.chunks(row, row + 1))[0]
                out += [beyond(centres[group], member, max(0, radius + more)) for more in (-1, 0, 1)]
    return out


def assert_exact(index: Index, known: list[tuple[int, bytes]], queries: Hashes, radius: int, cap: int | None) -> None:
    asked = np.arange(len(queries))
    wanted, totals = naive.join(known, pairs_of(queries), radius, cap)
    for compiled in (True, False):
        found = core.join(index, queries, asked, radius=radius, cap=cap, compiled=compiled, threads=1 + compiled)
        assert naive.rows(found.table) == wanted and found.totals["pairs"].to_pylist() == totals


def store(kinds: list[tuple[str, int]], seed: int) -> Hashes:
    """Clusters of these kinds and sizes, and unrelated hashes between them, in any order."""
    parts = [random_hashes(5, 32, seed)]
    for k, (kind, size) in enumerate(kinds):
        parts.append(
            chain(size, 3, seed + k)
            if kind == "chain"
            else spread(size, {"near": 4, "wide": 40, "same": 0}[kind], seed + k)
        )
    known = np.concatenate(parts)
    return known[np.random.default_rng(seed).permutation(len(known))]


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    kinds=st.lists(st.tuples(st.sampled_from(["near", "wide", "chain", "same"]), st.sampled_from(SIZES)), max_size=4),
    seed=st.integers(0, 2**31),
    radius=st.sampled_from([0, 1, 7, 8, 30, 31, 32, 47, 60, 130, 212, 256]),
    cap=st.sampled_from([None, 1, 5]),
    least=st.sampled_from([2, 4, 32]),
    scan=st.booleans(),
)
def test_the_same_pairs_as_comparing_each_with_each(  # noqa: PLR0917 - what is varied
    kinds: list[tuple[str, int]], seed: int, radius: int, cap: int | None, least: int, scan: bool
) -> None:
    rng = np.random.default_rng(seed)
    known, more = store(kinds, seed), store(kinds[:2], seed + 9)
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        folder = Path(place)
        patch.setattr(finding, "LEAST", least)
        patch.setattr(finding, "JOINED", min(least, 4))
        patch.setattr(building, "SEGMENT_ROWS", 16 + 90)
        patch.setattr("pipeline.matching.core.plan.Plan.scan", lambda self, rows, count: scan)
        first = build(folder / "a", known)
        queries = np.array([*near_edges(first, radius, rng)[:9], *known[rng.integers(0, len(known), 3)]])
        assert_exact(first, pairs_of(known), queries, radius, cap)
        gone = rng.permutation(len(known))[: len(known) // 3]
        ids = np.arange(len(more)) + 1000
        core.extend_index(folder / "a", folder / "b", [(ids, more)], gone, release="8")
        second = core.open_index(folder / "b")
        standing = [pair for pair in pairs_of(known) if pair[0] not in set(gone.tolist())] + pairs_of(more, ids)
        queries = np.array([*queries[:6], *near_edges(second, radius, rng)[:6], *more[:2]])
        assert_exact(second, standing, queries, radius, cap)
        core.compact_index(folder / "b", folder / "c")
        assert_exact(core.open_index(folder / "c"), standing, queries, radius, cap)


def test_what_is_grouped_is_in_no_table_and_comes_back_whole(clustered: Index) -> None:
    segment = clustered.segments[0]
    counts = segment.segment
    assert counts.groups >= 3 and counts.canaries == 24 and counts.grouped >= 80
    assert (segment.offsets[:, -1] == counts.total - counts.grouped).all()
    known = np.concatenate([spread(70, 6, 1), random_hashes(30, 32, 2), spread(40, 10, 3)])
    assert (to_hashes(segment.chunks(0, counts.rows)) == known).all()
    groups = segment.groups
    assert groups is not None
    rows = groups.members[groups.members != 2**32 - 1].astype(np.int64)
    assert len(rows) == counts.grouped and len(np.unique(rows)) == len(rows)
    assert (groups.ids[groups.members != 2**32 - 1] == segment.ids_of(rows)).all()
    for group, reach in enumerate(groups.reach):
        own = groups.members[32 * int(groups.firsts[group]) : 32 * int(groups.firsts[group + 1])]
        own = own[own != 2**32 - 1].astype(np.int64)
        centre = groups.centres[8 * group : 8 * group + 8]
        stored = np.concatenate([segment.chunks(row, row + 1) for row in own]).view(np.uint32)
        assert np.bitwise_count(stored ^ centre).sum(axis=1).max() == reach <= finding.REACH


def test_unrelated_hashes_have_no_groups(tmp_path: Path) -> None:
    index = build(tmp_path / "a", random_hashes(3000 if JIT else 60, 32, 5))
    counts = index.segments[0].segment
    assert (counts.groups, counts.grouped, counts.tiles, counts.canaries) == (0, 0, 0, 16)
    assert index.segments[0].groups is None and not {*FILES} & {*counts.arrays}


def test_shorter_hashes_are_never_grouped(tmp_path: Path) -> None:
    known = np.repeat(random_hashes(1, 8, 5), 60, axis=0)
    known[:, 7] = np.arange(60)
    assert build(tmp_path / "a", known, algorithm="phash64").segments[0].groups is None


def test_groups_do_not_depend_on_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "MOST_CANDIDATES", 16)
    known = np.concatenate([spread(200, 6, 1), random_hashes(100, 32, 2), spread(90, 6, 3)])
    cuts = ([0, 390], [0, 1, 7, 100, 101, 250, 390], list(range(0, 391, 13)))
    manifests = []
    for name, cut in zip("abc", cuts, strict=True):
        batches = [(np.arange(low, high), known[low:high]) for low, high in itertools.pairwise(cut)]
        manifests.append(core.build_index(batches, tmp_path / name, algorithm="pdq", hasher_version="1", release="7"))
    assert manifests[0] == manifests[1] == manifests[2] and manifests[0].segments[0].groups


def test_the_largest_groups_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "most_groups", lambda rows: 1)
    known = np.concatenate([spread(40, 4, 1), spread(60, 4, 2), spread(50, 4, 3)])
    counts = build(tmp_path / "a", known).segments[0].segment
    assert counts.groups == 2 and 50 <= counts.grouped - 8 <= 60  # one, and that of the canaries


def test_a_store_that_is_one_great_cluster_keeps_its_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "MOST_MEMBERS", 90)
    known = np.concatenate([spread(100, 4, 1), spread(60, 4, 2), spread(40, 4, 3)])
    index = build(tmp_path / "a", known)
    counts = index.segments[0].segment
    assert counts.groups == 2 and 50 <= counts.grouped - 8 <= 60  # 100 are too many, and 60 and 40 as well
    assert_exact(index, pairs_of(known), known[::40], 31, None)


@pytest.mark.skipif(JIT, reason="a constant of compiled kernels is changed")
@pytest.mark.parametrize("slots", [1, 2, 3])
def test_more_tiles_than_are_compared_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slots: int) -> None:
    """With few slots and little room every place is come to where the kernel may stop."""
    monkeypatch.setattr(comparing, "SLOTS", slots)
    monkeypatch.setattr("pipeline.matching.core.driver.SHARE", 32 * slots)
    known = np.concatenate([spread(100, 6, 1), spread(40, 6, 2)])
    index = build(tmp_path / "a", known)
    monkeypatch.setattr("pipeline.matching.core.plan.Plan.scan", lambda self, rows, count: False)
    for cap in (None, 3):
        assert_exact(index, pairs_of(known), known[::20], 31, cap)


@pytest.mark.skipif(not JIT, reason="takes minutes as plain Python")
def test_a_group_of_more_tiles_than_are_compared_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.matching.core.plan.Plan.scan", lambda self, rows, count: False)
    rng = np.random.default_rng(1)
    bits = np.repeat(np.unpackbits(random_hashes(1, 32, 1), axis=1), 70_000, axis=0)
    bits[np.arange(70_000)[:, None], rng.integers(0, 256, (70_000, 8))] ^= 1
    known = np.packbits(bits, axis=1)
    index = build(tmp_path / "a", known)
    assert index.segments[0].segment.tiles > 2 * comparing.SLOTS
    queries = np.concatenate([known[:60], random_hashes(70, 32, 2), known[60:70]])
    distances = np.bitwise_count(queries[:, None].view(np.uint64) ^ known[None].view(np.uint64)).sum(axis=2)
    for cap in (None, 100):
        found = core.join(index, queries, np.arange(140), radius=12, cap=cap)
        assert found.totals["pairs"].to_pylist() == (distances <= 12).sum(axis=1).tolist()
        wanted = [
            (q, int(k), int(distances[q, k]))
            for q in range(140)
            for k in np.lexsort((np.arange(70_000), distances[q]))[
                : min(cap or 70_000, int((distances[q] <= 12).sum()))
            ]
        ]
        assert naive.rows(found.table) == wanted


@pytest.mark.parametrize("version", [1, 2, 3])
def test_earlier_formats_are_matched_and_extended_by_groups(tmp_path: Path, version: int) -> None:
    known, more = random_hashes(30, 32, 1), spread(60, 5, 2)
    build(tmp_path / "a", known)
    earlier.write_as(tmp_path / "a", version)
    core.extend_index(tmp_path / "a", tmp_path / "b", [(np.arange(60) + 100, more)], [3], release="8")
    index = core.open_index(tmp_path / "b")
    assert index.manifest.format == 4 and [s.groups is None for s in index.segments] == [True, False]
    standing = pairs_of(known)[:3] + pairs_of(known)[4:] + pairs_of(more, np.arange(60) + 100)
    assert_exact(index, standing, np.concatenate([known[:5], more[:5]]), 31, None)
    core.compact_index(tmp_path / "b", tmp_path / "c")
    assert_exact(core.open_index(tmp_path / "c"), standing, np.concatenate([known[:5], more[:5]]), 31, 4)


def test_shared_hashes_near_a_group(tmp_path: Path) -> None:
    near = spread(50, 3, 4)
    known = np.concatenate([near, np.repeat(near[:40], 20, axis=0)])
    index = build(tmp_path / "a", known)
    assert index.shared and all(s.groups is not None for s in index.segments)
    for cap in (None, 7, 300):
        assert_exact(index, pairs_of(known), near[:3], 31, cap)


@pytest.mark.parametrize("name", FILES)
def test_altered_truncated_and_missing_files_are_refused(clustered: Index, name: str) -> None:
    folder = clustered.folder
    path = folder / "segment-0000" / name
    original = path.read_bytes()
    rng = np.random.default_rng(2)
    for _ in range(10 if JIT else 1):
        data = bytearray(original)
        data[rng.integers(0, len(data))] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(data)
        with pytest.raises(IntegrityError, match=r"altered.*triage index build"):
            core.join(core.open_index(folder), random_hashes(1, 32, 1), [0], radius=31)
        with pytest.raises(IntegrityError, match="SHA-256 differs"):
            core.open_index(folder).verify()
    path.write_bytes(original[:-1])
    with pytest.raises(IntegrityError, match=r"has \d+ bytes instead of \d+"):
        core.open_index(folder)
    path.unlink()
    with pytest.raises(IntegrityError, match="missing"):
        core.open_index(folder)


@pytest.mark.parametrize("fault", ["order", "row", "count", "first"])
def test_places_that_are_none_are_refused(clustered: Index, fault: str) -> None:
    clustered.ensure_checked()
    groups = clustered.segments[0].groups
    assert groups is not None
    firsts, members = np.array(groups.firsts), np.array(groups.members)
    if fault == "order":
        firsts[1] = firsts[2]
    elif fault == "first":
        firsts[0] = 1
    elif fault == "row":
        members[0] = 10**6
    else:
        members[0] = 2**32 - 1
    groups.firsts, groups.members, clustered._checked = firsts, members, False
    with pytest.raises(IntegrityError, match="not where they should be"):
        clustered.ensure_checked()


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("part", ["centres", "reach", "tiles", "ids", "firsts", "masks"])
def test_damage_that_checksums_do_not_see_is_caught_by_canaries(
    clustered: Index, monkeypatch: pytest.MonkeyPatch, part: str, compiled: bool
) -> None:
    monkeypatch.setattr("pipeline.matching.core.plan.Plan.scan", lambda self, rows, queries: False)
    clustered.ensure_checked()
    groups: Any = clustered.segments[0].groups
    queries, asked = random_hashes(3, 32, 9), np.arange(3)
    core.join(clustered, queries, asked, radius=31, compiled=compiled)
    if part == "masks":
        real, canary = (np.array(mask) for mask in groups.masks)
        canary[-1] ^= 1 << 7
        canary.flags.writeable = real.flags.writeable = False
        groups.__dict__["masks"] = real, canary
    else:
        broken = np.array(getattr(groups, part))
        if part == "centres":
            broken[-1] ^= np.uint32(1)  # a bit more to the farthest query
            broken[-8:] ^= np.uint32(0xF)
        elif part == "reach":
            broken[-1] -= 1
        elif part == "tiles":
            broken[-512 + 7] ^= 1
        elif part == "ids":
            broken[-32] -= 5000
        else:
            broken[-2:] = broken[-3] + 1  # the group of the canaries is gone
        broken.flags.writeable = False
        setattr(groups, part, broken)
    with pytest.raises(CanaryError, match="failed its self-check"):
        core.join(clustered, queries, asked, radius=31, compiled=compiled)


@pytest.mark.parametrize("fault", ["radius", "ids", "queries"])
def test_a_fault_in_comparing_alone_is_caught_by_canaries(
    clustered: Index, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr("pipeline.matching.core.plan.Plan.scan", lambda self, rows, queries: False)
    right = comparing.scan_groups

    def broken(*arguments: Any) -> Any:
        given = list(arguments)
        if fault == "radius":
            given[6] -= 1
        elif fault == "queries":
            given[1] -= 1  # the last is left out
        before = int(given[4][comparing.OUT])
        position = right(*given)
        if fault == "ids":
            given[8][1][before : given[4][comparing.OUT]] -= 5000
        return arguments[1] if fault == "queries" and position == given[1] else position

    monkeypatch.setattr(comparing, "scan_groups", broken)
    with pytest.raises(CanaryError, match="failed its self-check"):
        core.join(clustered, random_hashes(3, 32, 9), np.arange(3), radius=31)


def test_a_canary_at_the_edge_is_as_far_from_its_centre_as_a_member_may_be(clustered: Index) -> None:
    groups = clustered.segments[0].groups
    assert groups is not None and int(groups.reach[-1]) == finding.REACH
    rows = groups.members[-32:]
    assert (rows[:8] == clustered.segments[0].segment.rows + 16 + np.arange(8)).all() and (rows[8:] == 2**32 - 1).all()


def test_few_queries_and_one_withdrawn_member(clustered: Index, tmp_path: Path) -> None:
    known = np.concatenate([spread(70, 6, 1), random_hashes(30, 32, 2), spread(40, 10, 3)])
    core.extend_index(clustered.folder, tmp_path / "b", [], [5, 6, 139], release="8")
    index = core.open_index(tmp_path / "b")
    standing = [pair for pair in pairs_of(known) if pair[0] not in {5, 6, 139}]
    queries = np.array([flipped(known[k], range(3)) for k in (5, 6, 139, 80)])
    assert len(queries) <= few.QUERIES
    for cap in (None, 1):
        assert_exact(index, standing, queries, 31, cap)
