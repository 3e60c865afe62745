"""The order in which files of one source are applied: the sender's date, then arrival, in no case chance."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from hashsets import sources
from hashsets.importing import importer, landing, ordering
from hashsets.release import building, releases
from pipeline.settings import Settings
from tests.hashsets import samples
from tests.hashsets.samples import digest, media, standing

ONE_MOMENT = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "date"),
    [
        ("list-2026-11-27.csv", "2026-11-27T00:00:00+00:00"),
        ("iwf_20261127.csv", "2026-11-27T00:00:00+00:00"),
        ("vic-2026-11.json", "2026-11-01T00:00:00+00:00"),
        ("from-2026-01-01-to-2026-02-03.csv", "2026-02-03T00:00:00+00:00"),
        ("list-2026-02-31.csv", ""),
        ("list-2026.csv", ""),
        ("120261127.csv", ""),
        ("list.csv", ""),
    ],
)
def test_a_date_in_a_name(name: str, date: str) -> None:
    assert ordering.stated(name, {}, None) == date


def test_what_a_file_states_goes_before_its_name_and_its_entries() -> None:
    newest = datetime(2024, 5, 1, tzinfo=UTC)
    assert ordering.stated("a-2025-01-01.db", {"released": "2026-09-01"}, newest).startswith("2026-09-01")
    assert ordering.stated("a-2025-01-01.db", {"released": "soon"}, newest).startswith("2025-01-01")
    assert ordering.stated("a.db", {}, newest) == newest.isoformat()


def test_numbers_of_arrival_never_repeat(tmp_path: Path) -> None:
    path = tmp_path / "sequence"
    assert [ordering.next_number(path, lambda: 7) for _ in range(3)] == [8, 9, 10]


def taken(settings: Settings, paths: list[Path], source: str, *, each: bool = False) -> releases.Release:
    """Import files at one and the same moment, in the given order; one release for all, or one for `each`."""
    for path in paths:
        importer.import_file(settings, path, sources.load(settings).source(source), loaded_at=ONE_MOMENT, loaded_by="t")
        if each:
            building.run(settings, samples.night(settings))
    building.run(settings, samples.night(settings))
    return releases.current(settings)


def said(release: releases.Release, names: list[Any]) -> dict[Any, Any]:
    return {
        name: (found["raw_categories"], found["grade"]) if (found := standing(release, name)) else None
        for name in names
    }


@pytest.mark.parametrize("each", [False, True], ids=["one release", "a release each"])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_entries_with_dates_end_the_same_in_every_order(
    tmp_path: Path, settings: Settings, order: tuple[int, ...], each: bool
) -> None:
    files = [
        samples.vics(
            tmp_path / f"{'cab'[n]}.json",
            [media("x", Category=n + 1, DateUpdated=f"202{n + 3}-01-01T00:00:00Z"), media(n, Category=1)],
        )
        for n in range(3)
    ]
    release = taken(settings, [files[n] for n in order], "project_vic", each=each)
    with release.kept_open():
        assert standing(release, "x")["raw_categories"] == ["project_vic:3"]
        assert all(standing(release, n)["raw_categories"] == ["project_vic:1"] for n in range(3))


def full_list(path: Path, items: list[int]) -> Path:
    """A list of the kind that replaces the one before."""
    lines = ["MD5,SHA-1,SHA-256,PhotoDNA,Category,Tags"]
    lines += [f"{digest('md5', i)},,,,{'A' if i else 'B'}," for i in items]
    path.write_text("\n".join(lines) + "\n")
    return path


def present(release: releases.Release, items: Sequence[int]) -> list[int]:
    """Those of the made-up items whose MD5 is matched."""
    values = [bytes.fromhex(digest("md5", i)) for i in items]
    asked = {"query_id": pa.array(items, pa.int64()), "algorithm": ["md5"] * len(values), "value": values}
    matched = set(release.exact(pa.table(asked)).column("query_id").to_pylist())
    return [i for i in items if i in matched]


@pytest.mark.parametrize("each", [False, True], ids=["one release", "a release each"])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_of_full_lists_the_newest_by_its_date_stands_in_every_order(
    tmp_path: Path, settings: Settings, order: tuple[int, ...], each: bool
) -> None:
    everything = range(20)
    lists = [[i for i in everything if i != n] for n in range(3)]  # each leaves out another one
    files = [full_list(tmp_path / f"iwf-2026-0{n + 1}-01.csv", lists[n]) for n in range(3)]
    release = taken(settings, [files[n] for n in order], "iwf", each=each)
    assert present(release, everything) == lists[2], (
        "what only the newest list has is matched, what it leaves out is not"
    )


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_without_dates_the_one_that_came_last_stands(
    tmp_path: Path, settings: Settings, order: tuple[int, ...]
) -> None:
    lists = [[i for i in range(20) if i != n] for n in range(3)]
    files = [full_list(tmp_path / f"{'cab'[n]}.csv", lists[n]) for n in range(3)]
    release = taken(settings, [files[n] for n in order], "iwf")
    assert present(release, range(20)) == lists[order[-1]]


def test_files_in_landing_arrive_as_they_were_written(tmp_path: Path, settings: Settings) -> None:
    folder = settings.landing_dir / "hashsets" / "iwf"
    folder.mkdir(parents=True)
    for n, name in enumerate("cab"):
        path = full_list(folder / f"{name}.csv", [i for i in range(20) if i != n])
        os.utime(path, (1_700_000_000 + n, 1_700_000_000 + n))
    assert [path.name for _, path in landing.pending(settings)] == ["c.csv", "a.csv", "b.csv"]
    landing.import_landing(settings, samples.night(settings))
    building.run(settings, samples.night(settings))
    assert not samples.keys(releases.current(settings), 2, "md5")
    assert samples.keys(releases.current(settings), 0, "md5")


def test_an_older_record_without_a_number_still_loads(tmp_path: Path, settings: Settings) -> None:
    record = samples.take(settings, samples.vics(tmp_path / "a.json", [media(1)]), "project_vic")
    assert record.sequence == 1
    bare = importer.Import(**{k: v for k, v in vars(record).items() if k not in {"sequence", "stated"}})
    assert bare.order < record.order


def test_a_time_ahead_of_the_arrival_puts_nothing_in_order(settings: Settings, tmp_path: Path) -> None:
    """A slip in one year must not keep everything that comes later out."""
    source = sources.load(settings).source("project_vic")
    given = ((6, "1", "2062-05-01T00:00:00Z"), (7, "2", "2026-06-20T00:00:00Z"))
    for month, category, updated in given:
        path = samples.vics(tmp_path / f"{category}.json", [media("a", Category=int(category), DateUpdated=updated)])
        record, _ = importer.import_file(
            settings, path, source, loaded_at=datetime(2026, month, 1 if month == 6 else 2, tzinfo=UTC), loaded_by="t"
        )
        assert record.defects == ({"updated:ahead_of_arrival": 1} if category == "1" else {})
    building.run(settings, samples.night(settings))
    found = said(releases.current(settings), ["a"])["a"]
    assert found is not None and found[0] == ["project_vic:2"]
