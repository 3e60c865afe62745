"""What is looked up by key decides as what is all read at once, night by night."""

from __future__ import annotations

import random
import string
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline import records
from pipeline.ingest import held
from pipeline.ingest.identity import Arrival, Held, decide, sender
from pipeline.ingest.returned import ReturnedIndex
from pipeline.lake import Lake
from pipeline.lake import parts as lake_parts
from pipeline.lake.kept import extracts
from pipeline.settings import Settings
from tests.pipeline.assess.builders import commit, media, referral

T0 = datetime(2026, 3, 1, tzinfo=UTC)


def arrives(chance: random.Random) -> Arrival:
    source = chance.choice(["UCOL", "OCAG", "NCA_NCMEC", "NCA_DRB", "OTHER"])
    reference, report = chance.choice(["1", "2", "3", "4", None]), chance.choice("rstu")
    prior = tuple(p for p in chance.sample(["1", "2", "3", "9"], chance.randrange(3)) if p != reference)
    files = frozenset(bytes([chance.randrange(3)]) * 32 for _ in range(chance.randrange(3)))
    who = chance.choice(["group a", "group b", None]) if source in ("OCAG", "OTHER") else None
    return Arrival(f"p{chance.randrange(60)}", source, reference, report, prior, files, who)


def package(name: str, **more: Any) -> dict[str, Any]:
    return {
        "package_id": name, "landing_folder": "ucol", "container": f"{name}", "state": "accepted", "reasons": [], "first_seen": T0,
        "clock_from": T0, "files": 0, "defects": 0, "run_id": "r", **more,
    }  # fmt: skip


def extension(arrival: Arrival) -> str | None:
    named = {"OCAG": '{"ocag":{"group":{"name":"%s"}}}', "OTHER": '{"taken":{"organisation":"%s"}}'}
    return named[arrival.source] % arrival.sender if arrival.sender else None


def whole(lake: Lake) -> Held:
    """The slow twin: every row of every night."""
    held = Held(lake=lake)
    for row in lake.read("packages").to_pylist():
        held.packages[row["package_id"]] = held.packages.get(row["package_id"]) or row["referral_id"]
    for row in lake.read("referrals").to_pylist():
        who = sender(row["source"], orjson.loads(row["extension"])) if row["extension"] else None
        held.remember(
            row["referral_id"], row["source"], row["source_reference"], row["supplements"], row["report_sha256"], who
        )
    return held


@pytest.mark.parametrize("seed", range(4))
def test_decisions_by_key_are_those_of_everything_read(settings: Settings, seed: int) -> None:
    chance = random.Random(seed)
    for night in range(8):
        arrivals = [arrives(chance) for _ in range(5)]
        lake = commit(settings, f"start-{night}")
        held, everything = Held.read(lake, ReturnedIndex(settings, lake)), whole(lake)
        rows: dict[str, list[dict[str, Any]]] = {"packages": [], "referrals": [], "media_files": []}
        for batch in (arrivals[:3], arrivals[3:]):
            held.look_up({f"other/{n}": arrival for n, arrival in enumerate(batch)})
            for n, arrival in enumerate(batch):
                decided = decide(arrival, held)
                assert decided == decide(arrival, everything)
                rows["packages"].append(
                    package(
                        arrival.package_id,
                        container=f"{night}-{n}",
                        state=decided.state,
                        referral_id=decided.referral_id,
                    )
                )
                if decided.state == "duplicate":
                    continue
                rows["referrals"].append(
                    referral(
                        decided.referral_id, package_id=arrival.package_id, source=arrival.source, report_sha256=arrival.report_sha256,
                        source_reference=arrival.reference, supplements=decided.supplements, extension=extension(arrival),
                    )
                )  # fmt: skip
                rows["media_files"] += [
                    media(decided.referral_id, digest.hex(), sha256=digest) for digest in sorted(arrival.media)
                ]
        commit(settings, f"in-{night}", **rows)


def test_a_container_of_the_lake_is_known_when_it_is_asked_for(settings: Settings) -> None:
    lake = commit(settings, "in", packages=[package("p1", referral_id="R1"), package("p2", container="b")])
    held = Held.read(lake, ReturnedIndex(settings, lake))
    assert held.containers == {}
    held.look_up_packages(["p1", "p9"])
    assert held.containers == {("p1", "p1"): "accepted"}
    assert held.packages == {"p1": "R1"}


NAMES = [
    "a",
    "A",
    "ä",
    "\u017f",
    "s",
    "a-corrected",
    "a_Corrected2.zip",
    "a.tar.gz",
    "s.JSON",
    "ä.zip",
    "K",
    "\u212a",
    "k",
]


def some_packages(chance: random.Random) -> pa.Table:
    """Packages of which many are near each other, some in quarantine, some of the same bytes under two names."""
    return records.build("packages", some_whole_packages(chance, chance.randrange(30))).select(held.HELD_BACK)


def some_whole_packages(chance: random.Random, count: int) -> list[dict[str, Any]]:

    def row(number: int) -> dict[str, Any]:
        state = chance.choice(["quarantined", "accepted", "duplicate"])
        report, corrects = (chance.choice([*string.ascii_lowercase[:6], None, None]) for _ in range(2))
        return package(
            f"p{chance.choice([number, number, number - 1])}", container=chance.choice([*NAMES, f"{number}", f"{number - 1}.zip"]),
            state=state, report_sha256=report, corrects=corrects,
            referral_id=None if state == "quarantined" else f"R{number}", first_seen=T0.replace(minute=chance.randrange(4)),
        )  # fmt: skip

    return [row(n) for n in range(count)]


def everything_compared(packages: pa.Table) -> dict[str, tuple[str, ...]]:
    """What is held back, by comparing every package with every other one."""
    rows = packages.to_pylist()
    waiting = [row for row in rows if row["state"] == "quarantined"]
    taken = [row for row in rows if row["state"] != "quarantined"]
    pairs = [(a, b) for a in taken for b in waiting if held.shared_names(a) & held.shared_names(b)]

    def later(a: dict[str, Any], b: dict[str, Any]) -> bool:
        return bool(a["first_seen"] > b["first_seen"]) or (
            a["first_seen"] == b["first_seen"] and a["corrects"] in {b["package_id"], b["corrects"]} - {None}
        )

    settled = {b["package_id"] for a, b in pairs if later(a, b)}
    near = [(a["referral_id"], b["package_id"]) for a, b in pairs if b["package_id"] not in settled]
    return {referral: tuple(sorted({b for a, b in near if a == referral})) for referral, _ in near}


def few(rows: pa.Table, column: str, values: Iterable[str]) -> pa.Table:
    return rows.filter(pa.array(held.decided(held.digests(rows), column, values)))


def test_what_is_held_back_is_what_comparing_every_package_with_every_other_gives() -> None:
    chance, found = random.Random(7), 0
    for _ in range(120):
        rows = some_packages(chance)
        assert held.held_back(rows) == everything_compared(rows)
        found += len(everything_compared(rows))
    assert found > 200


def test_what_is_held_back_of_some_referrals_is_decided_by_few_packages() -> None:
    chance, left_out = random.Random(8), 0
    for _ in range(200):
        rows = some_packages(chance)
        wanted = {f"R{chance.randrange(30)}" for _ in range(3)}
        chosen = few(rows, "referral_id", wanted)
        left_out += rows.num_rows - chosen.num_rows
        of_all, of_few = held.held_back(rows), held.held_back(chosen)
        assert {r: of_few.get(r) for r in wanted} == {r: of_all.get(r) for r in wanted}
    assert left_out > 500


@pytest.mark.parametrize("merged", [False, True])
def test_the_packages_that_decide_are_found_in_the_lake(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, *, merged: bool
) -> None:
    monkeypatch.setattr(extracts, "LEAST", 1)
    monkeypatch.setattr(lake_parts, "GROUP", 7)
    chance, told = random.Random(10), 0
    for night in range(6):
        commit(settings, f"in{night}", packages=some_whole_packages(chance, 30))
    lake = Lake.of(settings)
    if merged:
        lake.merge("weekly")
    rows = lake.read("packages", held.HELD_BACK)
    for _ in range(30):
        wanted = {f"R{chance.randrange(30)}" for _ in range(3)}
        found = held.deciding(Lake.of(settings), "referral_id", wanted)
        assert found.equals(few(rows, "referral_id", wanted))
        told += found.num_rows
    assert told
    assert len(list((settings.home / "cache" / "lake").glob("*.shared-1.extract"))) == len(lake.parts("packages"))


def test_what_some_packages_change_is_decided_by_few_packages() -> None:
    chance, left_out, changed = random.Random(9), 0, 0
    for _ in range(200):
        rows = some_packages(chance)
        fresh = pa.array(sorted({f"p{chance.randrange(30)}" for _ in range(3)}))

        def differing(of: pa.Table, fresh: pa.Array = fresh) -> set[str]:
            came = pc.is_in(of["package_id"], value_set=fresh)
            before, after = held.held_back(of.filter(pc.invert(came))), held.held_back(of)
            return {r for r in before.keys() | after.keys() if before.get(r) != after.get(r)}

        chosen = few(rows, "package_id", fresh.to_pylist())
        left_out += rows.num_rows - chosen.num_rows
        changed += len(differing(rows))
        assert differing(chosen) == differing(rows)
    assert left_out > 500
    assert changed > 100
