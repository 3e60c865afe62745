"""Which contents are planned: the same as a look at those of all nights says, whatever was left undone, and read by what is new."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest

from pipeline import records
from pipeline.contract import Night
from pipeline.fingerprint import planning
from pipeline.lake import Lake
from pipeline.settings import Settings
from tests.pipeline.fingerprint.makers import settings_with
from tests.pipeline.fingerprint.test_stage import media_row, night_of


@pytest.fixture
def place(tmp_path: Any) -> Settings:
    return settings_with(tmp_path)


def content(number: int) -> bytes:
    return bytes([number]) * 32


def came(lake: Lake, night: Night, contents: Iterable[int], stage: str = "ingest", key: str = "") -> None:
    rows = [media_row(f"{night.run_id}{key}-{n}", "nca/p", content(n), 1) for n in contents]
    rows += [media_row(f"{night.run_id}{key}-none", None, None, 0, "hash_only")]
    lake.commit(stage, f"{night.run_id}{key}", {"media_files": records.build("media_files", rows)}, run_id=night.run_id)


def done(lake: Lake, night: Night, contents: Iterable[int], key: str, version: str | None = None) -> None:
    rows = [
        {
            "sha256": content(n), "md5": bytes(16), "sha1": bytes(20), "size": 1, "media_type": "image/jpeg", "state": "hashed",
            "low_information": False, "algorithm_version": version or planning.algorithm_version(), "decoder_version": "1",
            "sandbox": "none", "run_id": night.run_id,
        }
        for n in contents
    ]  # fmt: skip
    lake.commit(
        "fingerprint", f"{night.run_id}-{key}", {"fingerprints": records.build("fingerprints", rows)}, run_id="n"
    )


def planned(settings: Settings, night: Night) -> tuple[set[bytes], set[bytes]]:
    """What the shards of a night do, and what they say was done before."""
    planning.plan(settings, night)
    shards = [planning.shard_file(path) for path in planning.folder(settings, night).glob("*.json")]
    return tuple(
        {bytes.fromhex(text) for shard in shards for text in shard[which]} for which in ("contents", "earlier")
    )  # type: ignore[return-value]


def looked_at_all(lake: Lake, night: Night) -> tuple[set[bytes], set[bytes]]:
    """The same from all rows of all nights."""
    present = {r["sha256"] for r in lake.read("media_files").to_pylist() if r["sha256"] is not None}
    own = lake.read("media_files", commits=lake.commits("ingest", run_id=night.run_id)).to_pylist()
    tonight = {r["sha256"] for r in own if r["sha256"] is not None}
    version = planning.algorithm_version()
    made = {r["sha256"] for r in lake.read("fingerprints").to_pylist() if r["algorithm_version"] == version}
    return present - made, tonight & made


@pytest.mark.parametrize("seed", range(12))
def test_what_is_planned_is_what_a_look_at_all_nights_says(
    place: Settings, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    lake = Lake(place.lake_dir)
    for n in range(6):
        night = night_of(place, f"night-{n}")
        came(lake, night, chance.sample(range(40), 6))
        if chance.random() < 0.3:
            came(lake, night, chance.sample(range(40), 3), stage="ingest", key="-late")
        if chance.random() < 0.2:
            monkeypatch.setattr(planning, "algorithm_version", lambda n=n: f"version {n}")
        if chance.random() < 0.3:
            lake.merge(night.run_id)
        expected = looked_at_all(lake, night)
        assert planned(place, night) == expected
        assert planned(place, night) == expected, "planned again"
        left = set() if chance.random() < 0.6 else set(chance.sample(range(40), 5))
        done(lake, night, [value[0] for value in sorted(expected[0]) if value[0] not in left], "all")


def test_a_night_reads_what_no_night_has_found_done(place: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(place.lake_dir)
    for n in range(4):
        night = night_of(place, f"night-{n}")
        came(lake, night, range(10 * n, 10 * n + 10))
        planned(place, night)
        done(lake, night, range(10 * n, 10 * n + 10), "all")
    night = night_of(place, "night-4")
    came(lake, night, [99])
    asked: list[tuple[str, int]] = []
    read = Lake.read

    def watched(self: Lake, table: str, *args: Any, **options: Any) -> Any:
        rows = read(self, table, *args, **options)
        asked.append((table, rows.num_rows))
        return rows

    monkeypatch.setattr(Lake, "read", watched)
    assert planned(place, night)[0] == {content(99)}
    assert sum(rows for table, rows in asked if table == "media_files") <= 4 * 12, "last night's and this night's"
    assert sum(rows for table, rows in asked if table == "fingerprints") <= 10


def test_a_content_that_an_erasure_may_have_left_undone_is_looked_for_again(place: Settings) -> None:
    lake = Lake(place.lake_dir)
    for n in (0, 1):
        night = night_of(place, f"night-{n}")
        came(lake, night, [n])
        planned(place, night)
        done(lake, night, [n], "all")
    night = night_of(place, "night-2")
    came(lake, night, [2])
    planned(place, night)
    assert planning.done_through(lake) > 0
    lake.commit("erase", "k", {}, run_id="n")
    assert planning.done_through(lake) == 0


def test_planning_a_night_without_packages_writes_nothing_when_it_is_repeated(place: Settings) -> None:
    lake = Lake(place.lake_dir)
    came(lake, night_of(place, "night-0"), [1])
    planned(place, night_of(place, "night-0"))
    done(lake, night_of(place, "night-0"), [1], "all")
    for name in ("night-1", "night-1", "night-2"):
        assert planned(place, night_of(place, name)) == (set(), set())
    assert len(lake.commits(planning.DONE)) == 1
