"""Segments, files and their defences: what was altered is refused, and canaries catch what checksums are kept from."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import CanaryError, IntegrityError, UsageError
from pipeline.matching import core
from pipeline.matching.core.compiled import kernels, nibbles
from pipeline.matching.core.compiled.jit import JIT
from pipeline.matching.core.index import build as building
from pipeline.matching.core.index.store import Index
from tests import naive
from tests.pipeline.matching.core import earlier
from tests.pipeline.matching.core.groups.clusters import spread
from tests.pipeline.matching.core.support import WAYS, build, flipped, force_way, pairs_of, random_hashes

FILES = ["offsets.u32", "words.u32", "rows.u16", "highs.u8", "marks.u32", "reduced.u16", "blocks.i64", "ids.u8"]


def assert_exact(index: core.Index, known: list[tuple[int, bytes]], queries: np.ndarray, radius: int = 31) -> None:
    found = core.join(index, queries, np.arange(len(queries)), radius=radius)
    assert naive.rows(found.table) == naive.join(known, pairs_of(queries), radius)[0]


def test_extension_adds_withdraws_and_replaces(tmp_path: Path) -> None:
    first, second = random_hashes(6, 32, 1), random_hashes(3, 32, 2)
    build(tmp_path / "a", first)
    added = (np.array([2, 10, 11]), second)
    manifest = core.extend_index(tmp_path / "a", tmp_path / "b", [added], np.array([1, 2, 99]), release="8")
    assert (manifest.rows, manifest.release, manifest.hasher_version) == (7, "8", "t1")
    standing = [p for p in pairs_of(first) if p[0] not in {1, 2}] + pairs_of(second, [2, 10, 11])
    queries = np.concatenate([first, second])
    assert_exact(core.open_index(tmp_path / "b"), standing, queries)
    assert_exact(core.open_index(tmp_path / "a"), pairs_of(first), queries)  # the old index is as it was
    compacted = core.compact_index(tmp_path / "b", tmp_path / "c")
    assert len(compacted.segments) == 1 and compacted.rows == 7
    assert_exact(core.open_index(tmp_path / "c"), standing, queries)
    rows = [([key], np.frombuffer(value, np.uint8)[None]) for key, value in standing]
    rebuilt = core.build_index(rows, tmp_path / "d", algorithm="pdq", hasher_version="t1", release="8")
    assert rebuilt == compacted  # the checksums of every array are those of a rebuild


def test_withdrawn_twice_and_extended_often(tmp_path: Path) -> None:
    known = random_hashes(8, 32, 3)
    build(tmp_path / "0", known[:2])
    for step in range(1, 4):
        added = (np.array([2 * step, 2 * step + 1]), known[2 * step : 2 * step + 2])
        gone = np.array([0, 2 * step - 1])
        core.extend_index(tmp_path / str(step - 1), tmp_path / str(step), [added], gone, release=str(step))
    standing = [p for p in pairs_of(known) if p[0] in {2, 4, 6, 7}]
    assert_exact(core.open_index(tmp_path / "3"), standing, known)


def test_segments_are_split_when_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "SEGMENT_ROWS", 16 + 5)
    known = random_hashes(12, 32, 4)
    index = build(tmp_path / "a", known)
    assert [s.rows for s in index.manifest.segments] == [5, 5, 2]
    assert_exact(index, pairs_of(known), known)


def test_hashes_survive_the_change_of_bit_order(tmp_path: Path) -> None:
    from pipeline.matching.core.index.bitorder import to_hashes
    from pipeline.matching.core.index.layout import FEW, to_chunks

    for width in (32, 8):
        many = random_hashes(FEW + 1, width, 5)
        hashes = many[:9]
        assert (to_chunks(many)[:9] == to_chunks(hashes)).all()
        assert (to_hashes(to_chunks(hashes)) == hashes).all()
        one = to_chunks(flipped(hashes[0], [width * 8 - 1])[None])
        assert int(np.bitwise_count(one ^ to_chunks(hashes[:1])).sum()) == 1


@pytest.mark.parametrize("name", FILES)
def test_every_flipped_bit_is_refused_before_use(tmp_path: Path, name: str) -> None:
    known = random_hashes(20, 32, 6)
    build(tmp_path / "a", known)
    rng = np.random.default_rng(1)
    path = tmp_path / "a" / "segment-0000" / name
    original = path.read_bytes()
    for _ in range(20 if JIT else 2):
        data = bytearray(original)
        data[rng.integers(0, len(data))] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(data)
        with pytest.raises(IntegrityError, match=r"altered.*triage index build"):
            core.join(core.open_index(tmp_path / "a"), known, np.arange(20), radius=31)
        with pytest.raises(IntegrityError, match="SHA-256 differs"):
            core.open_index(tmp_path / "a").verify()


@pytest.mark.parametrize("name", FILES)
def test_truncated_and_missing_files_are_refused_at_opening(tmp_path: Path, name: str) -> None:
    build(tmp_path / "a", random_hashes(20, 32, 6))
    path = tmp_path / "a" / "segment-0000" / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match=r"has \d+ bytes instead of \d+"):
        core.open_index(tmp_path / "a")
    path.unlink()
    with pytest.raises(IntegrityError, match="missing"):
        core.open_index(tmp_path / "a")


def test_wrong_version_altered_manifest_and_no_index(tmp_path: Path) -> None:
    build(tmp_path / "a", random_hashes(2, 32, 6))
    path = tmp_path / "a" / "manifest.json"
    data = json.loads(path.read_text())
    for change, message in (({"format": 99}, "format 99"), ({"release": "6"}, "manifest of index a was altered")):
        path.write_text(json.dumps(data | change))
        with pytest.raises(IntegrityError, match=message):
            core.open_index(tmp_path / "a")
    path.write_text("{")
    with pytest.raises(IntegrityError, match="not JSON"):
        core.open_index(tmp_path / "a")
    with pytest.raises(UsageError, match="no index"):
        core.open_index(tmp_path / "nothing")


def _re_signed(data: dict[str, Any]) -> str:
    data.pop("digest", None)
    return json.dumps({**data, "digest": hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()})


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, member in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places(member, (*path, key))


WORDS = ("../x", "a\0", "a" * 300, "\ud800", "manifest.json")
"""Names of files that are none here: elsewhere, of no file system, too long, a file where a folder should be."""


@pytest.mark.parametrize("known", [random_hashes(20, 32, 6), spread(60, 5, 6)], ids=["unrelated", "grouped"])
def test_a_manifest_that_was_signed_again_with_other_members_is_refused(tmp_path: Path, known: np.ndarray) -> None:
    """Every member in turn taken away, given another type, another number; and members that are unknown."""
    build(tmp_path / "a", known)
    path = tmp_path / "a" / "manifest.json"
    original = json.loads(path.read_text())
    tried = 0
    for place in _places({k: v for k, v in original.items() if k != "digest"}):
        for change in ("gone", None, -1, 10**9, True, *WORDS, [], {}, "unknown"):
            data = json.loads(json.dumps(original))
            holder = data
            for key in place[:-1]:
                holder = holder[key]
            if change == "gone":
                del holder[place[-1]]
            elif change == "unknown":
                if not isinstance(holder, dict):
                    continue
                holder["unknown"] = 1
            else:
                holder[place[-1]] = change
            # What is only a label, or a sum, is compared elsewhere: with its release, and before first use.
            if change in WORDS and place[-1] in {"release", "hasher_version", "sha256", "sum"}:
                continue
            path.write_text(_re_signed(data))
            with pytest.raises(IntegrityError, match=r"index a|format|Index file"):
                core.open_index(tmp_path / "a")
            tried += 1
    assert tried > 200


@pytest.mark.parametrize("change", [-1, 1, 16])
def test_rows_of_a_segment_are_counted_against_its_tables(tmp_path: Path, change: int) -> None:
    build(tmp_path / "a", random_hashes(20, 32, 6))
    path = tmp_path / "a" / "manifest.json"
    data = json.loads(path.read_text())
    data["segments"][0]["rows"] += change
    data["rows"] += change
    path.write_text(_re_signed(data))
    with pytest.raises(IntegrityError, match=r"sizes of|do not hold"):
        core.open_index(tmp_path / "a")


@pytest.mark.parametrize("change", [-1, 1 << 40, 8 << 4, 9])
def test_ids_are_read_only_where_there_are_some(tmp_path: Path, change: int) -> None:
    index = build(tmp_path / "a", random_hashes(20, 32, 6))
    index.ensure_checked()
    blocks = np.array(index.segments[0].blocks)
    blocks[0, 1] += change << 4 if change != 9 else 9
    index.segments[0].blocks = blocks
    index._checked = False
    with pytest.raises(IntegrityError, match="not where they should be"):
        index.ensure_checked()


@pytest.mark.parametrize("algorithm", ["pdq", "phash64"])
@pytest.mark.parametrize("version", [1, 2])
def test_earlier_formats_are_read_extended_and_compacted(tmp_path: Path, version: int, algorithm: str) -> None:
    width = 32 if algorithm == "pdq" else 8
    first, second = random_hashes(40, width, 1), random_hashes(30, width, 2)
    ids, later = np.arange(40) * 2**33, np.arange(30) + 2**50
    build(tmp_path / "a", first, ids, algorithm=algorithm)
    earlier.write_as(tmp_path / "a", version)
    index = core.open_index(tmp_path / "a")
    assert (index.manifest.format, index.segments[0].segment.whole) == (version, True)
    queries = np.concatenate([first, second])
    radius = 31 if width == 32 else 8
    assert_exact(index, pairs_of(first, ids), queries, radius)
    assert index.verify() == index.manifest.bytes
    core.extend_index(tmp_path / "a", tmp_path / "b", [(later, second)], ids[:3], release="8")
    extended = core.open_index(tmp_path / "b")
    assert extended.manifest.format == 4
    assert [s.segment.whole for s in extended.segments] == [True, False]
    standing = pairs_of(first[3:], ids[3:]) + pairs_of(second, later)
    assert_exact(extended, standing, queries, radius)
    core.compact_index(tmp_path / "b", tmp_path / "c")
    compacted = core.open_index(tmp_path / "c")
    assert [s.segment.whole for s in compacted.segments] == [False]
    assert_exact(compacted, standing, queries, radius)


def test_an_earlier_format_has_no_segment_of_this_one(tmp_path: Path) -> None:
    build(tmp_path / "a", random_hashes(20, 32, 6))
    path = tmp_path / "a" / "manifest.json"
    path.write_text(_re_signed({**json.loads(path.read_text()), "format": 2}))
    with pytest.raises(IntegrityError, match="says what cannot be"):
        core.open_index(tmp_path / "a")


def break_one(index: Index, part: str, table: int, bytes_of_a_row: int) -> None:
    """Put another array in the place of one of the first segment's, in memory: of one table, one hash or one id it says something else."""
    broken = np.array(getattr(index.segments[0], part))
    if part == "words":
        broken[table] ^= np.uint32(0xFFFFFFFF)
    elif part == "offsets":
        broken[table] = 0
    elif part == "hashes":
        broken[30 + table] ^= np.uint16(1)
    elif part == "ids":
        broken.view(np.int64)[30 + table] += 5000
    elif part == "blocks":
        broken[0, 0] += 5000
    else:
        end = bytes_of_a_row * 46
        broken[table, :end] = np.roll(broken[table, :end], bytes_of_a_row)
    broken.flags.writeable = False
    setattr(index.segments[0], part, broken)


@pytest.mark.parametrize("table", range(16) if JIT else [5])
@pytest.mark.parametrize("compiled", [True, False])
def test_damage_to_an_earlier_format_is_caught_by_canaries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: int, compiled: bool
) -> None:
    known = random_hashes(30, 32, 7)
    build(tmp_path / "a", known)
    earlier.write_as(tmp_path / "a", 2)
    monkeypatch.setattr(Index, "ensure_checked", lambda self, **_: None)
    monkeypatch.setattr("pipeline.matching.core.plan.Plan.scan", lambda self, rows, queries: False)
    for part in ("words", "offsets", "hashes", "ids", "rows"):
        index = core.open_index(tmp_path / "a")
        break_one(index, part, table, bytes_of_a_row=3)
        with pytest.raises(CanaryError, match="failed its self-check"):
            core.join(index, known[:16], np.arange(16), radius=31, compiled=compiled)


@pytest.mark.parametrize("table", range(16) if JIT else [5])
@pytest.mark.parametrize("part", ["words", "offsets", "hashes", "blocks", "rows"])
@pytest.mark.parametrize("compiled", [True, False])
def test_damage_that_checksums_do_not_see_is_caught_by_canaries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: int, part: str, compiled: bool
) -> None:
    """Wrong results must not get out even when memory, not the disk, is at fault: any one table broken fails the run."""
    known = random_hashes(30, 32, 7)
    index = build(tmp_path / "a", known)
    monkeypatch.setattr(Index, "ensure_checked", lambda self, **_: None)
    break_one(index, part, table, bytes_of_a_row=2)
    index.segments[0]._filled = [None] * 16
    monkeypatch.setattr("pipeline.matching.core.plan.Plan.scan", lambda self, rows, queries: False)
    with pytest.raises(CanaryError, match="failed its self-check"):
        core.join(index, known[:16], np.arange(16), radius=31, compiled=compiled)


@pytest.mark.skipif(not JIT, reason="takes long as plain Python")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", ["limits", "levels", "rule of two", "words"])
def test_a_fault_in_any_way_of_comparing_is_caught_by_canaries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, way: tuple[bool, bool]
) -> None:
    known = random_hashes(30, 32, 7)
    index = build(tmp_path / "a", known)
    monkeypatch.setattr("pipeline.matching.core.plan.Plan.scan", lambda self, rows, queries: False)
    force_way(monkeypatch, way)
    right = kernels.scan_buckets

    def broken(*arguments: Any) -> Any:
        given = list(arguments)
        masks, levels, limits, *how = given[4]
        table, rules, radius = given[10]
        if fault == "limits":
            limits = limits - np.uint32(1)
        elif fault == "levels":
            levels = np.minimum(levels, 1 + 15 * (levels > 1))
        elif fault == "rule of two":
            rules = rules.copy()
            rules[3] -= 1
        else:
            offsets, words, *rest = given[2]
            given[2] = (offsets, words ^ np.uint32(4), *rest)
        given[4], given[10] = (masks, levels, limits, *how), (table, rules, radius)
        return right(*given)

    core.join(index, known, np.arange(30), radius=31)
    monkeypatch.setattr(kernels, "scan_buckets", broken)
    with pytest.raises(CanaryError, match="failed its self-check"):
        core.join(index, known, np.arange(30), radius=31)


@pytest.mark.parametrize("fault", ["radius", "rule", "ids"])
def test_a_fault_in_the_tiles_alone_is_caught_by_canaries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """No bucket of this index is dense, but half of the canary queries are compared in tiles in any index."""
    known = random_hashes(30, 32, 7)
    index = build(tmp_path / "a", known)
    monkeypatch.setattr("pipeline.matching.core.plan.Plan.scan", lambda self, rows, queries: False)
    right = kernels.scan_buckets

    def broken(*arguments: Any) -> Any:
        # Radius and rules that the kernel is given are read where it compares tiles, and nowhere else.
        table, rules, radius = arguments[10]
        counters, sink = arguments[7], arguments[11]
        if fault == "radius":
            radius -= 1
        elif fault == "rule":
            rules = rules.copy()
            rules[2] += rules[2] > 0
        position = right(*arguments[:10], (table, rules, radius), sink)
        if fault == "ids":
            sink[1][: counters[kernels.OUT]] += 5000
        return position

    monkeypatch.setattr(kernels, "scan_buckets", broken)
    with pytest.raises(CanaryError, match="failed its self-check"):
        core.join(index, known, np.arange(30), radius=31)


@pytest.mark.skipif(not nibbles.USED, reason="run by test_processor.py where this is not the processor's own family")
@pytest.mark.parametrize("nibble", [0, 9, 15])
def test_a_fault_in_the_nibble_filter_is_caught_by_canaries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nibble: int
) -> None:
    known = random_hashes(30, 32, 7)
    index = build(tmp_path / "a", known)
    monkeypatch.setattr("pipeline.matching.core.plan.Plan.scan", lambda self, rows, queries: False)
    table = nibbles.look_up()
    table[32 * nibble : 32 * nibble + 32] = 4  # every nibble seems far from this one
    monkeypatch.setattr(nibbles, "look_up", lambda: table)
    with pytest.raises(CanaryError, match="failed its self-check"):
        core.join(index, known, np.arange(30), radius=31)


def test_canaries_are_never_reported_and_are_found_by_themselves(tmp_path: Path) -> None:
    from pipeline.matching.core.index import canaries

    index = build(tmp_path / "a", random_hashes(3, 32, 8))
    found = core.join(index, canaries.hashes("segment-0000", 32), np.arange(16), radius=31)
    assert found.table.num_rows == 0 and sum(found.totals["pairs"].to_pylist()) == 0
    assert core.check_canaries(index) == 3 * 96
    assert core.check_canaries(index, radius=47) == 96


def test_nothing_is_left_behind_by_a_build_that_fails(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="negative"):
        core.build_index(
            [(np.array([-1]), random_hashes(1, 32, 1))], tmp_path / "a", algorithm="pdq", hasher_version="", release=""
        )
    assert list(tmp_path.iterdir()) == []
    build(tmp_path / "a", random_hashes(1, 32, 1))
    with pytest.raises(UsageError, match="exists already"):
        build(tmp_path / "a", random_hashes(1, 32, 1))
    with pytest.raises(UsageError, match="no perceptual hash algorithm"):
        core.build_index([], tmp_path / "b", algorithm="md5", hasher_version="", release="")


def test_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        build(tmp_path / name, random_hashes(50, 32, 9))
    assert (tmp_path / "a" / "manifest.json").read_bytes() == (tmp_path / "b" / "manifest.json").read_bytes()


def test_files_are_copied_where_hard_links_do_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = random_hashes(5, 32, 9)
    build(tmp_path / "a", known)

    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refuse)
    core.extend_index(tmp_path / "a", tmp_path / "b", [], [], release="8")
    shutil.rmtree(tmp_path / "a")
    assert_exact(core.open_index(tmp_path / "b"), pairs_of(known), known)
