"""What is looked up by key decides as what is all read at once, night by night."""

from __future__ import annotations

import random
import string
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline import records
from pipeline.ingest import quarantine
from pipeline.ingest.identity import Arrival, Held, decide, sender
from pipeline.ingest.returned import ReturnedIndex
from pipeline.lake import Lake
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
            held.look_up(batch)
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

    def row(number: int) -> dict[str, Any]:
        state = chance.choice(["quarantined", "accepted", "duplicate"])
        report, corrects = (chance.choice([*string.ascii_lowercase[:6], None, None]) for _ in range(2))
        return package(
            f"p{chance.choice([number, number, number - 1])}", container=chance.choice([*NAMES, f"{number}", f"{number - 1}.zip"]),
            state=state, report_sha256=report, corrects=corrects,
            referral_id=None if state == "quarantined" else f"R{number}", first_seen=T0.replace(minute=chance.randrange(4)),
        )  # fmt: skip

    return records.build("packages", [row(n) for n in range(chance.randrange(30))]).select(quarantine.HELD_BACK)


def test_packages_that_cannot_be_near_change_nothing_of_what_is_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(7)
    for _ in range(60):
        rows = some_packages(chance)
        found = quarantine.held_back(rows)
        with monkeypatch.context() as patch:
            patch.setattr(quarantine, "_perhaps_near", lambda taken, _: taken)
            assert found == quarantine.held_back(rows)


def test_what_is_held_back_of_some_referrals_is_decided_by_few_packages() -> None:
    chance, left_out = random.Random(8), 0
    for _ in range(200):
        rows = some_packages(chance)
        wanted = {f"R{chance.randrange(30)}" for _ in range(3)}
        few = quarantine.deciding(rows, pc.is_in(rows["referral_id"], value_set=pa.array(sorted(wanted))))
        left_out += rows.num_rows - few.num_rows
        of_all, of_few = quarantine.held_back(rows), quarantine.held_back(rows, wanted)
        assert {r: of_few.get(r) for r in wanted} == {r: of_all.get(r) for r in wanted}
    assert left_out > 500


def test_what_some_packages_change_is_decided_by_few_packages() -> None:
    chance, left_out, changed = random.Random(9), 0, 0
    for _ in range(200):
        rows = some_packages(chance)
        fresh = pa.array(sorted({f"p{chance.randrange(30)}" for _ in range(3)}))

        def differing(of: pa.Table, fresh: pa.Array = fresh) -> set[str]:
            came = pc.is_in(of["package_id"], value_set=fresh)
            before, after = quarantine.held_back(of.filter(pc.invert(came))), quarantine.held_back(of)
            return {r for r in before.keys() | after.keys() if before.get(r) != after.get(r)}

        few = quarantine.deciding(rows, pc.is_in(rows["package_id"], value_set=fresh))
        left_out += rows.num_rows - few.num_rows
        changed += len(differing(rows))
        assert differing(few) == differing(rows)
    assert left_out > 500
    assert changed > 100
