"""The kept index of what was returned says what reading everything says, night by night, and is made anew where it cannot be trusted."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from pipeline.ingest import quarantine, returned
from pipeline.ingest.identity import Held
from pipeline.ingest.returned import Returned, ReturnedIndex, plain_name
from pipeline.lake import Lake
from pipeline.lake.erasing import Wanted
from pipeline.settings import Settings
from tests.pipeline.assess.builders import commit
from tests.pipeline.ingest.test_held import NAMES, T0, package


def arrivals(chance: random.Random, night: int, taken: set[tuple[str, str]]) -> list[dict[str, Any]]:
    """Packages of one night: returned, returned again, put right, or of no concern; no arrival comes twice."""
    found = []
    for number in range(chance.randrange(1, 9)):
        name, container = f"p{chance.randrange(40)}", chance.choice([*NAMES, f"{night}-{number}"])
        if (name, container) in taken:
            continue
        taken.add((name, container))
        state = chance.choice(["quarantined", "quarantined", "accepted", "supplement"])
        corrects = chance.choice([None, None, f"p{chance.randrange(40)}"])
        seen = T0 + timedelta(days=night, minutes=number)
        clock = chance.choice([None, seen, seen - timedelta(hours=5)])
        report = chance.choice(["r1", "r2", "r3", None])
        found.append(
            package(
                name, container=container, state=state, corrects=corrects, report_sha256=report, first_seen=seen,
                clock_from=clock, reasons=[f"reason {night}-{number}"] if state == "quarantined" else [],
            )
        )  # fmt: skip
    return found


def slow(lake: Lake) -> dict[str, Returned]:
    """By every name, the package in quarantine that has it: of several the one with the earliest clock."""
    held = Held()
    for row in lake.read("packages").to_pylist():
        if row["state"] == "quarantined":
            first = Returned(row["corrects"] or row["package_id"], row["clock_from"] or row["first_seen"])
            held.put_back(row["package_id"], row["container"], row["report_sha256"], first)
    return held.returned


def nights(settings: Settings, seed: int, count: int) -> Iterable[Lake]:
    chance, taken = random.Random(seed), set[tuple[str, str]]()
    for night in range(count):
        commit(settings, f"in-{night}", packages=arrivals(chance, night, taken))
        yield Lake.of(settings)


@pytest.mark.parametrize("seed", range(6))
def test_the_kept_index_says_what_reading_everything_says(settings: Settings, seed: int) -> None:
    names = {*(f"p{n}" for n in range(40)), *map(plain_name, NAMES), "r1", "r2", "r3", "r9"}
    for night, lake in enumerate(nights(settings, seed, 10)):
        if night == 5:
            lake.merge("weekly")
        index, expected, everything = ReturnedIndex(settings, lake), slow(lake), quarantine.outstanding(lake)
        held = Held.read(lake, index)
        for name in names:
            assert held.corrected_by("\x00", name, ()) == expected.get(name)
        clocks = [o.clock_from for o in everything]
        assert index.waiting() == (len(everything), min(clocks, default=None))
        assert quarantine.longest(index, 1000) == everything
        few = quarantine.longest(index, 3)
        assert [o.clock_from for o in few] == clocks[:3] and all(o in everything for o in few)
        assert index.rows() == sum(r["state"] == "quarantined" for r in lake.read("packages").to_pylist())


def test_what_this_run_returns_is_known_beside_what_is_kept(settings: Settings) -> None:
    commit(settings, "in", packages=[package("p1", state="quarantined", container="a.zip", clock_from=T0)])
    lake = Lake.of(settings)
    held = Held.read(lake, ReturnedIndex(settings, lake))
    later = Returned("p2", T0 + timedelta(hours=1))
    held.put_back("p2", "a-corrected.zip", None, later)
    assert held.corrected_by("a", None, ()) == Returned("p1", T0)
    assert held.corrected_by("x", None, ["p2"]) == later


@pytest.mark.parametrize("how", ["thrown away", "harmed", "cut short", "of another version", "of another lake"])
def test_an_index_that_cannot_be_trusted_comes_back_identical(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    for lake in nights(settings, 3, 6):
        index = ReturnedIndex(settings, lake)
    before, path = index.content(), returned.path_of(settings)
    assert len(before["packages"]) > 8
    data = path.read_bytes()
    if how == "thrown away":
        path.unlink()
    elif how == "harmed":
        place = data.index(b"quarantined")
        path.write_bytes(data[:place] + b"Q" + data[place + 1 :])
    elif how == "cut short":
        path.write_bytes(data[:20])
    elif how == "of another version":
        monkeypatch.setattr(returned, "__version__", "before")
        path.unlink()
        ReturnedIndex(settings, lake)
        monkeypatch.undo()
    else:
        other = Settings(home=settings.home / "other")
        for number in range(20):
            commit(other, f"other-{number}", packages=[package(f"x{number}", state="quarantined")])
        ReturnedIndex(other, Lake.of(other))
        path.write_bytes(returned.path_of(other).read_bytes())
    assert ReturnedIndex(settings, lake).content() == before
    assert ReturnedIndex(settings, Lake.of(settings)).content() == before


def test_a_night_reads_the_packages_of_new_commits_only(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for lake in nights(settings, 4, 5):
        ReturnedIndex(settings, lake)
    asked: list[list[str]] = []
    original = Lake.read

    def watched(lake: Lake, *args: Any, **more: Any) -> Any:
        asked.append([c.key for c in more["commits"]])
        return original(lake, *args, **more)

    monkeypatch.setattr(Lake, "read", watched)
    ReturnedIndex(settings, lake)
    assert asked == []
    commit(settings, "in-9", packages=[package("p99", state="quarantined")])
    index = ReturnedIndex(settings, Lake.of(settings))
    assert asked == [["in-9"]] and index.named(["p99"]) == [("p99", Returned("p99", T0))]


def test_an_erasure_takes_names_out_of_it(settings: Settings) -> None:
    row = package("p1", state="quarantined", container="other/Somebody Example.zip", reasons=["x"], clock_from=T0)
    commit(settings, "in", packages=[row])
    index = ReturnedIndex(settings, Lake.of(settings))
    assert b"Somebody" in returned.path_of(settings).read_bytes() and index.rows() == 1
    Lake.of(settings).erase(Wanted({"R1"}, set(), ["p1"], []), "erasing")
    index = ReturnedIndex(settings, Lake.of(settings))
    assert b"omebody" not in returned.path_of(settings).read_bytes() and index.rows() == 1
    assert returned.forget(settings) == 1 and returned.forget(settings) == 0


def test_a_notice_that_misses_is_written_and_the_others_are_left(settings: Settings) -> None:
    for lake in nights(settings, 5, 4):
        index = ReturnedIndex(settings, lake)
    quarantine.write_notices(settings, index)
    names = sorted(p.name for p in settings.quarantine_dir.iterdir())
    assert len(names) == 2 * len(index.packages())
    times = {p.name: p.stat().st_mtime_ns for p in settings.quarantine_dir.iterdir()}
    (settings.quarantine_dir / names[0]).unlink()
    quarantine.write_notices(settings, index)
    now = {p.name: p.stat().st_mtime_ns for p in settings.quarantine_dir.iterdir()}
    assert sorted(now) == names and all(now[n] == times[n] for n in names if n[:3] != names[0][:3])
