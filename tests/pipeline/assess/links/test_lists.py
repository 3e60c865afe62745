"""Lists of the force: which file is in force, what is matched, and what follows."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline import policy
from pipeline.assess.links import lists
from pipeline.assess.links.linking import link
from pipeline.assess.links.stored import current, latest
from pipeline.lake import Lake
from pipeline.settings import Settings
from tests.pipeline.assess.builders import T0, commit, identifier, referral, start, subject

HEADER = "entry,name,date_of_birth,emails,phones,usernames,user_ids,devices,vehicles,address"


def supply(settings: Settings, name: str, dated: str, *rows: str, **about: Any) -> Path:
    """A list file with its JSON file, as an owner would deliver it."""
    folder = settings.landing_dir / "lists"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{dated}.csv"
    path.write_text("\r\n".join([HEADER, *rows]) + "\r\n", encoding="utf-8")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    told = {"list": name, "dated": dated, "owner": "Public Protection Unit", "sha256": digest} | about
    path.with_suffix(".json").write_text(json.dumps(told))
    return path


def hits(settings: Settings, night: int = 1) -> dict[tuple[str, str], str | None]:
    """(referral, list) to the fact that follows, after a night's linking."""
    _, found = link(settings, start(settings, night), Lake(settings.lake_dir)).of(None)
    return {(h.referral_id, h.list_name): h.fact for h in found}


def test_every_way_of_matching(settings: Settings) -> None:
    rows = [
        identifier("R1", "email", "a@b.example"),
        identifier("R2", "phone", "+442079460018"),
        identifier("R3", "username", "someone99", service="chat"),
        identifier("R4", "user_id", "77", service="chat"),
        identifier("R5", "device", "imei-1"),
        identifier("R6", "vehicle", "ab12cde"),
        identifier("R7", "address", "12 example road, town, zz1 1zz"),
        identifier("R9", "username", "someone99", service="games"),
    ]
    persons = [subject("R8", name="Alex Example", date_of_birth="1980-02-03")]
    commit(settings, "a", referrals=[referral(f"R{i}") for i in range(1, 10)], identifiers=rows, subjects=persons)
    supply(
        settings,
        "current_investigations",
        "2026-11-01",
        "1,,,A@B.example,,,,,,",
        "2,,,,020 7946 0018,,,,,",
        "3,,,,,Chat:@Someone99,,,,",
        "4,,,,,,chat:77,,,",
        "5,,,,,,,IMEI-1,,",
        "6,,,,,,,,AB12 CDE,",
        '7,,,,,,,,,"Flat 12, Example Road, Town, ZZ11ZZ"',
        '8,"EXAMPLE, Alex",03/02/1980,,,,,,,',
        '88,"EXAMPLE, Alex",13/02/1980,,,,,,,',
    )
    found = hits(settings)
    # 03/02/1980 may be March: it is not guessed, and a lead that states no fact
    assert found.pop(("R8", "current_investigations")) is None
    assert set(found) == {(f"R{i}", "current_investigations") for i in range(1, 8)}
    assert set(found.values()) == {"under_investigation"}
    links = [x for x in current(Lake(settings.lake_dir)).to_pylist() if x["right"].startswith("list:")]
    assert {x["right"] for x in links} == {f"list:current_investigations:{i}" for i in range(1, 9)}
    strengths = {x["left"]: x["strength"] for x in links}
    assert (strengths["R1"], strengths["R7"], strengths["R8"]) == ("strong", "medium", "weak")
    assert all("Current investigations" in x["explanation"] for x in links)


def test_a_person_matches_by_name_and_an_unmistakable_birth(settings: Settings) -> None:
    persons = [
        subject("R1", name="Alex Example", date_of_birth="1980-02-13"),
        subject("R2", role="victim", name="Alex Example", date_of_birth="1980-02-13"),
    ]
    commit(settings, "a", referrals=[referral("R1"), referral("R2")], subjects=persons)
    supply(settings, "registered_sex_offenders", "2026-11-01", '8,"EXAMPLE, Alex",13/02/1980,,,,,,,')
    assert hits(settings) == {("R1", "registered_sex_offenders"): "registered_sex_offender"}


def test_an_address_counts_whoever_lives_there(settings: Settings) -> None:
    rows = [identifier("R1", "address", "Rose Cottage, The Lane, ZZ1 1ZZ", subject_id="s-R1-0")]
    rows += [identifier("R2", "address", "Lily Cottage, The Lane, ZZ1 1ZZ")]
    commit(
        settings,
        "a",
        referrals=[referral("R1"), referral("R2")],
        identifiers=rows,
        subjects=[subject("R1", role="victim")],
    )
    supply(settings, "child_protection_addresses", "2026-11-01", '1,,,,,,,,,"rose cottage, the lane, zz11zz"')
    assert hits(settings) == {("R1", "child_protection_addresses"): "child_protection_address"}


def test_lists_are_matched_again_every_night_and_entries_that_go_withdraw_their_link(settings: Settings) -> None:
    rows = [identifier(r, "email", f"{r}@b.example".lower()) for r in ("R1", "R2")]
    commit(settings, "a", referrals=[referral("R1"), referral("R2")], identifiers=rows)
    assert hits(settings) == {}
    supply(settings, "positions_of_trust", "2026-11-02", "1,,,r1@b.example,,,,,,")
    assert hits(settings, 2) == {("R1", "positions_of_trust"): "position_of_trust"}
    supply(settings, "positions_of_trust", "2026-11-03", "2,,,r2@b.example,,,,,,")
    assert hits(settings, 3) == {("R2", "positions_of_trust"): "position_of_trust"}
    states = {x["left"]: (x["withdrawn"], x["version"]) for x in latest(Lake(settings.lake_dir)).to_pylist()}
    assert states == {"R1": (True, 2), "R2": (False, 1)}
    supply(settings, "positions_of_trust", "2026-11-04", "1,,,r1@b.example,,,,,,", "2,,,r2@b.example,,,,,,")
    assert set(hits(settings, 4)) == {("R1", "positions_of_trust"), ("R2", "positions_of_trust")}


def test_a_newer_file_with_the_same_entry_changes_nothing(settings: Settings) -> None:
    commit(settings, "a", referrals=[referral("R1")], identifiers=[identifier("R1", "email", "a@b.example")])
    supply(settings, "positions_of_trust", "2026-11-02", "1,,,a@b.example,,,,,,")
    first = hits(settings), current(Lake(settings.lake_dir)).to_pylist()
    supply(settings, "positions_of_trust", "2026-11-03", "1,,,a@b.example,,,,,,")
    assert (hits(settings, 2), current(Lake(settings.lake_dir)).to_pylist()) == first
    [link_] = first[1]
    [evidence] = json.loads(link_["evidence"])
    assert (evidence["dated"], evidence["owner"]) == ("2026-11-02", "Public Protection Unit")
    supply(settings, "positions_of_trust", "2026-11-04", "1,,,a@b.example;c@d.example,,,,,,")
    assert hits(settings, 3) == first[0]


def test_a_list_that_vanishes_keeps_its_hits(settings: Settings) -> None:
    commit(settings, "a", referrals=[referral("R1")], identifiers=[identifier("R1", "email", "a@b.example")])
    path = supply(settings, "registered_sex_offenders", "2026-11-02", "1,,,a@b.example,,,,,,")
    before = hits(settings)
    path.unlink()
    assert hits(settings, 2) == before == {("R1", "registered_sex_offenders"): "registered_sex_offender"}
    counts = link(settings, start(settings, 3), Lake(settings.lake_dir)).counts
    assert counts["list_registered_sex_offenders"] == "no usable file"


@pytest.mark.parametrize(
    ("given", "hit"),
    [
        ("Flat 2, 14 Sample Street, ZZ99 1AA", True),
        ("14 Sample Street, Flat 2, ZZ99  1AA", True),
        ("14 Sample Street, ZZ991AA", True),
        ("Flat 3, 14 Sample Street, ZZ99 1AA", False),
        ("Flat 14, 2 Sample Street, ZZ99 1AA", False),
    ],
)
def test_a_flat_hides_no_house(settings: Settings, given: str, hit: bool) -> None:
    commit(settings, "one", referrals=[referral("R1")], identifiers=[identifier("R1", "address", given)])
    supply(settings, "child_protection_addresses", "2026-11-01", '1,,,,,,,,,"14 Sample Street, Flat 2, zz99 1aa"')
    assert bool(hits(settings)) is hit


def test_a_hit_says_whose_list_it_is_and_of_which_day(settings: Settings) -> None:
    commit(settings, "one", referrals=[referral("R1")], identifiers=[identifier("R1", "email", "a@b.example")])
    supply(settings, "positions_of_trust", "2026-11-01", "7,,,a@b.example,,,,,,")
    hits(settings)
    [found] = current(Lake(settings.lake_dir)).to_pylist()
    assert "dated 2026-11-01, entry 7: the same e-mail address" in found["explanation"]


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda p: p.with_suffix(".json").unlink(), "waiting"),
        (lambda p: p.with_suffix(".json").write_text("{"), "cannot be read"),
        (lambda p: p.with_suffix(".json").write_text("[]"), "cannot be read"),
        (lambda p: p.write_text(p.read_text() + "9,,,x@y.example,,,,,,\n"), "SHA-256"),
        (lambda p: p.rename(p.with_name("positions_of_trust-2026-13-01.csv")), "name is not"),
        (lambda p: p.rename(p.with_name("shoes-2026-11-01.csv")), "no such list"),
    ],
)
def test_a_file_that_cannot_be_used_says_why_and_leaves_the_older_one_in_force(
    settings: Settings, damage: Any, problem: str
) -> None:
    older = supply(settings, "positions_of_trust", "2026-11-01", "1,,,a@b.example,,,,,,")
    damage(supply(settings, "positions_of_trust", "2026-11-02", "2,,,b@b.example,,,,,,"))
    assert [f.path for f in lists.in_force(settings).values()] == [older]
    [unusable] = [f for f in lists.files(settings) if f.problem]
    assert problem in unusable.problem


def deliver(settings: Settings, data: bytes, **about: Any) -> str:
    """The problem of a list file with these bytes."""
    path = supply(settings, "positions_of_trust", "2026-11-02")
    path.write_bytes(data)
    told = json.loads(path.with_suffix(".json").read_text()) | {"sha256": hashlib.sha256(data).hexdigest()} | about
    path.with_suffix(".json").write_text(json.dumps(told))
    [file] = lists.files(settings)
    return file.problem


@pytest.mark.parametrize(
    ("data", "about", "problem"),
    [
        (b"entry,name\n\xff\xfe,x\n", {}, "not UTF-8"),
        (b'entry,name\n"1,x\n', {}, "not CSV"),
        (b"", {}, "column entry"),
        (b"number,name\n1,x\n", {}, "column entry"),
        (b"entry\n1\n", {"owner": " "}, "no owner"),
        (b"entry\n1\n", {"dated": "2026-11-03"}, "another list or date"),
        (b"\xef\xbb\xbfEntry,Emails\n1,a@b.example\n", {}, ""),
    ],
)
def test_odd_files(settings: Settings, data: bytes, about: dict[str, Any], problem: str) -> None:
    found = deliver(settings, data, **about)
    assert problem in found and bool(problem) == bool(found)


def test_rows_are_counted_in_and_out(settings: Settings) -> None:
    supply(
        settings,
        "positions_of_trust",
        "2026-11-02",
        "1,,,a@b.example;not an address,,,,,,",
        ",,,b@b.example,,,,,,",
        "1,,,c@b.example,,,,,,",
        "2,,,,,,,,,",
        "3,,,,,nameless,,,,",
    )
    rows, counts = lists.read(
        lists.in_force(settings)["positions_of_trust"], "GB", policy.load(settings, "linking").data
    )
    assert rows == [("1", "email", "a@b.example", "")]
    assert counts["rows"] == 5 == sum(counts[k] for k in ("used", "without_entry", "repeated_entry", "without_values"))
    assert counts == {
        "rows": 5,
        "used": 1,
        "without_entry": 1,
        "repeated_entry": 1,
        "without_values": 2,
        "bad_values": 2,
    }


def test_a_stale_list_is_used_and_reported(settings: Settings) -> None:
    commit(settings, "a", referrals=[referral("R1")], identifiers=[identifier("R1", "email", "a@b.example")])
    dated = (T0 - timedelta(days=30)).date().isoformat()
    supply(settings, "registered_sex_offenders", dated, "1,,,a@b.example,,,,,,")
    linked = link(settings, start(settings), Lake(settings.lake_dir))
    assert linked.counts["list_registered_sex_offenders"] == f"dated {dated}, stale: 31 days old"
    assert len(linked.of(None)[1]) == 1


def test_entries_of_a_list_do_not_reach_the_lake(settings: Settings) -> None:
    commit(settings, "a", referrals=[referral("R1")], identifiers=[identifier("R1", "email", "a@b.example")])
    supply(settings, "registered_sex_offenders", "2026-11-02", "1,Very Private,1970-01-31,a@b.example,,,,,,")
    link(settings, start(settings), Lake(settings.lake_dir))
    [row] = current(Lake(settings.lake_dir)).to_pylist()
    assert "Private" not in json.dumps(row, default=str) and "1970" not in json.dumps(row, default=str)


def test_while_lists_stay_the_same_only_new_referrals_are_matched_and_none_is_lost(settings: Settings) -> None:
    supply(settings, "registered_sex_offenders", "2026-11-02", "1,,,a@b.example,,,,,,", "2,,,c@d.example,,,,,,")
    lake, said = Lake(settings.lake_dir), []
    for night, mail in enumerate(["a@b.example", "x@y.example", "c@d.example"], 1):
        name = f"R{night}"
        commit(settings, name, referrals=[referral(name)], identifiers=[identifier(name, "email", mail)])
        said.append(link(settings, start(settings, night), lake).counts)
    assert [(c["lists_matched"], c["list_hits"]) for c in said] == [
        ("every referral", 1), ("new referrals", 0), ("new referrals", 1)
    ]  # fmt: skip
    assert {row["left"] for row in current(lake).to_pylist()} == {"R1", "R3"}
    shutil.rmtree(settings.home / "cache")
    assert link(settings, start(settings, 4), lake).counts["lists_matched"] == "every referral"
    assert {row["left"] for row in current(lake).to_pylist()} == {"R1", "R3"}


@pytest.mark.parametrize("ending", [".csv", ".json"])
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "link"])
def test_a_pipe_or_a_link_where_a_list_should_be_is_never_waited_for(
    settings: Settings, ending: str, make: Callable[[Path], None]
) -> None:
    supply(settings, "current_investigations", "2026-11-01", "1,,,a@b.example,,,,,,")
    newer = supply(settings, "current_investigations", "2026-11-02", "1,,,a@b.example,,,,,,").with_suffix(ending)
    newer.unlink()
    make(newer)
    found = {file.dated.day: file.problem for file in lists.files(settings)}
    assert found == {1: "", 2: "it, or the JSON file beside it, is a link, a pipe or a device"}
    assert lists.in_force(settings)["current_investigations"].dated.day == 1
