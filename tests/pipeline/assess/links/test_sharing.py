"""Pairs that share more values of a kind than they are judged by: what is said of them, and that nothing weaker takes its place."""

from __future__ import annotations

import dataclasses
import random
import shutil
from datetime import timedelta
from itertools import pairwise
from typing import Any

import orjson
import pytest
import yaml

from pipeline.assess.links import linking, sharing
from pipeline.assess.links.judging import REPEATED
from pipeline.assess.links.linking import link
from pipeline.assess.links.stored import current
from pipeline.lake import Lake
from pipeline.settings import Settings
from tests.pipeline.assess.builders import T0, commit, fingerprint, identifier, match, media, referral, start
from tests.pipeline.assess.links.test_linking import brief, linked, linked_by_night, naive

MOST = 5
PAIR = [referral("R1"), referral("R2")]


@pytest.fixture()
def few(settings: Settings) -> Settings:
    """Settings whose policy judges a pair by no more than MOST values of a kind."""
    return ruled(settings, judged_values=MOST)


def ruled(settings: Settings, **changes: Any) -> Settings:
    other = settings.home / "policy"
    shutil.copytree(settings.policy, other)
    data = yaml.safe_load((settings.policy / "linking.yaml").read_text())
    (other / "linking.yaml").write_text(yaml.safe_dump(data | changes))
    return dataclasses.replace(settings, policy=other)


def by_kind(settings: Settings, night: int = 1) -> dict[str, tuple[str, int, str]]:
    """Of the links of R1 and R2: strength, number of values, and what is said of them."""
    return {
        x["kind"]: (x["strength"], x["shared"], x["explanation"])
        for x in linked(settings, night)
        if (x["left"], x["right"]) == ("R1", "R2")
    }


def both(kind: str, values: list[str], **more: Any) -> list[dict[str, Any]]:
    return [identifier(r, kind, value, **more) for r in ("R1", "R2") for value in values]


def many_rows(seed: int) -> dict[str, list[dict[str, Any]]]:
    """A few referrals that share more values than they are judged by, of every kind of identifier; an address once in each."""
    rng = random.Random(seed)
    names = [f"R{i}" for i in range(6)]
    rows = []
    for name in names:
        for kind in ("email", "phone", "username", "user_id", "ip"):
            for number in rng.sample(range(16), rng.randrange(17)):
                more: dict[str, Any] = {}
                if kind in ("username", "user_id"):
                    more["service"] = rng.choice([None, "a", "b"])
                if kind == "ip":
                    more["port"] = rng.choice([None, 80, 2000, 3000])
                    more["seen_at"] = rng.choice([None, T0 + timedelta(minutes=rng.randrange(400))])
                value = {"ip": f"81.0.0.{number}"}.get(kind, f"{kind}-value-{number:02d}")
                rows.append(identifier(name, kind, value, **more) | {"identifier_id": f"i{len(rows):04d}"})
    files = [media(n, f"file-{f}") for n in names for f in rng.sample(range(12), rng.randrange(13))]
    return {"referrals": [referral(n) for n in names], "identifiers": rows, "media_files": files}


@pytest.mark.parametrize("seed", range(3))
def test_links_of_many_values_agree_with_the_twin_and_are_the_same_night_by_night(few: Settings, seed: int) -> None:
    rows = many_rows(seed)
    whole = dataclasses.replace(few, home=few.home / "whole")
    commit(whole, "one", **rows)
    found = linked(whole)
    assert {
        (x["left"], x["right"], x["kind"].replace("ip_port_time", "ip"), x["strength"], x["shared"]) for x in found
    } == naive(few, rows)
    assert max(x["shared"] for x in found if x["kind"] not in REPEATED) > MOST
    linked_by_night(few, rows, seed, 3)
    assert brief(current(Lake(few.lake_dir)).to_pylist()) == brief(found)


@pytest.mark.parametrize("seed", range(3))
def test_a_link_is_the_same_however_many_values_it_is_judged_by(settings: Settings, few: Settings, seed: int) -> None:
    """Of kinds in which no value repeats another: the same strength, words, number and evidence (of addresses the first of it: behind
    the strongest stands what comes next by its value, of those that are judged)."""
    commit(settings, "one", **many_rows(10 + seed))

    def said(x: dict[str, Any]) -> tuple[Any, ...]:
        listed = orjson.loads(x["evidence"])
        shown = listed[:1] if x["kind"].startswith("ip") else listed
        return (*(x[c] for c in ("link_id", "kind", "strength", "shared", "explanation")), orjson.dumps(shown))

    first, second = (
        {said(x) for x in linked(s, n) if x["kind"] not in REPEATED} for n, s in enumerate((settings, few), 1)
    )
    assert first - second == second - first == set()


@pytest.mark.parametrize("at_once", [1, 2, 7, 40, 1_000_000])
def test_parts_of_any_size_give_the_same_links_and_none_ends_within_a_pair(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    rows = many_rows(20)
    commit(settings, "one", **rows)
    seen: list[set[tuple[str, str]]] = []
    sizes: list[int] = []
    parts = sharing.parts

    def watched(con: Any) -> Any:
        for shared, sightings in parts(con, at_once):
            seen.append(set(zip(shared["a"].to_pylist(), shared["b"].to_pylist(), strict=True)))
            sizes.append(sum(map(len, sightings.values())))
            yield shared, sightings

    monkeypatch.setattr(linking.sharing, "parts", watched)
    found = {(x["left"], x["right"], x["kind"].replace("ip_port_time", "ip"), x["strength"], x["shared"])
             for x in linked(settings)}  # fmt: skip
    assert found == naive(settings, rows)
    assert sum(map(len, seen)) == len(set.union(*seen)) and all(seen)
    assert len(seen) == (len(set.union(*seen)) if at_once <= 2 else 1) or 2 < at_once < 1_000_000
    assert all(a <= b for one, two in pairwise(seen) for a in one for b in two)


def test_addresses_that_name_nobody_do_not_hide_one_that_does(few: Settings) -> None:
    private = [f"10.0.0.{n}" for n in range(4 * MOST)]
    commit(few, "one", referrals=PAIR, identifiers=both("ip", [*private, "81.0.0.1"], seen_at=T0))
    assert by_kind(few) == {
        "ip": ("medium", 1, "The same IP address within the time window, without a common port of a customer.")
    }


@pytest.mark.parametrize("lent", ["100.64.0.", "81.0.0."])
def test_the_address_that_says_most_is_judged_whatever_comes_before_it(few: Settings, lent: str) -> None:
    """Behind addresses of carriers, or marked as proxies, which one and the same port and time make strong."""
    more = {} if lent.startswith("100") else {"possible_proxy": "yes"}
    rows = both("ip", [f"{lent}{n}" for n in range(4 * MOST)], seen_at=T0, port=80, **more)
    commit(few, "one", referrals=PAIR, identifiers=[*rows, *both("ip", ["90.0.0.1"], seen_at=T0)])
    assert by_kind(few)["ip"][:2] == ("medium", 4 * MOST + 1)
    commit(few, "two", identifiers=both("ip", ["91.0.0.1"], seen_at=T0, port=4000))
    strength, number, words = by_kind(few, 2)["ip_port_time"]
    assert (strength, number) == ("strong", 4 * MOST + 2) and "At least" not in words


@pytest.mark.parametrize("port", [None, 4000])
def test_addresses_seen_over_months_do_not_hide_one_that_was_used_within_the_window(
    few: Settings, port: int | None
) -> None:
    """As somebody has who is reported by two services: on the same addresses for months, and hours apart but once."""
    rows = [
        identifier(r, "ip", f"81.0.0.{n}", seen_at=T0 + timedelta(days=days, hours=hours), port=port)
        for n in range(4 * MOST)
        for days in (0, 30)
        for r, hours in (("R1", 0), ("R2", 12))
    ]
    commit(few, "one", referrals=PAIR, identifiers=[*rows, *both("ip", ["91.0.0.1"], seen_at=T0, port=port)])
    kind, strength = ("ip_port_time", "strong") if port else ("ip", "medium")
    assert by_kind(few)[kind][:2] == (strength, 4 * MOST + 1)


def test_a_value_of_many_does_not_take_the_place_of_one_of_two(settings: Settings) -> None:
    few = ruled(settings, judged_values=MOST, hub=2)
    hubs = [f"a{n:02d}@b.example" for n in range(4 * MOST)]
    rows = [*both("email", [*hubs, "z@b.example"]), *(identifier("R3", "email", value) for value in hubs)]
    commit(few, "one", referrals=[*PAIR, referral("R3")], identifiers=rows)
    strength, number, words = by_kind(few)["email"]
    assert (strength, number) == ("strong", 4 * MOST + 1) and words.endswith(" 21 values in common.")


def test_files_are_judged_by_their_strongest_digests(few: Settings) -> None:
    names = [f"f{n}" for n in range(MOST + 3)]
    prints = [fingerprint(n, md5=n.encode() * 8, sha1=(n * 10).encode()) for n in names]
    commit(few, "one", referrals=PAIR, media_files=[media(r, n) for r in ("R1", "R2") for n in names],
           matches=[match(n, k) for k, n in enumerate(names)])  # fmt: skip
    commit(few, "two", "fingerprint", fingerprints=prints)
    [found] = linked(few)
    assert (found["kind"], found["strength"], found["shared"]) == ("file_hash", "medium", len(names))
    assert found["explanation"].endswith(f" At least {len(names)} values in common.")
    assert all(v["value"].startswith("sha256:") for v in orjson.loads(found["evidence"]))


def test_usernames_elsewhere_never_repeat_what_was_not_judged(few: Settings) -> None:
    """More accounts on a service than are judged: nothing is said of the same names elsewhere."""
    names = [f"someone{n:02d}" for n in range(4 * MOST)]
    commit(few, "one", referrals=PAIR, identifiers=both("username", names, service="chat"))
    assert {kind: x[:2] for kind, x in by_kind(few).items()} == {"username": ("strong", 4 * MOST)}


def test_usernames_elsewhere_are_judged_behind_those_that_repeat_an_account(few: Settings) -> None:
    rows = both("username", [f"a-name-{n}" for n in range(MOST)], service="chat")
    for r, service in (("R1", "chat"), ("R2", "games")):
        rows += [identifier(r, "username", f"b-name-{n:02d}", service=service) for n in range(6 * MOST)]
    commit(few, "one", referrals=PAIR, identifiers=rows)
    found = by_kind(few)
    assert found["username"][:2] == ("strong", MOST)
    assert found["username_elsewhere"][:2] == ("weak", 3 * MOST)
    assert found["username_elsewhere"][2].endswith(f" At least {3 * MOST} values in common.")


def test_a_report_that_extends_another_says_so_among_many_numbers(few: Settings) -> None:
    numbers = [f"{n}" for n in range(100, 100 + 4 * MOST)]
    rows = [referral(r, source_reference=r, prior_references=numbers) for r in ("R1", "R3")]
    rows.append(referral("R2", source_reference="R2", prior_references=numbers, supplements="R1"))
    commit(few, "one", referrals=rows)
    found = {(x["left"], x["right"]): (x["kind"], x["strength"], x["explanation"]) for x in linked(few)}
    [said] = {x[2] for pair, x in found.items() if pair == ("R1", "R2")}
    assert "in common" not in said
    assert found["R1", "R3"][:2] == found["R2", "R3"][:2] == ("supplement", "strong")
    assert found["R1", "R3"][2].endswith(f" At least {MOST} values in common.")


def test_shared_values_are_not_held_pair_by_pair(settings: Settings) -> None:
    """Twelve reports of the same thousand addresses: what is judged is bounded by the policy, what is said is not."""
    names = [f"R{n:02d}" for n in range(12)]
    values = [f"81.0.{n >> 8}.{n & 255}" for n in range(1000)]
    commit(settings, "one", referrals=[referral(n) for n in names],
           identifiers=[identifier(n, "ip", value) for n in names for value in values])  # fmt: skip
    judged = 0
    choose = sharing.choose

    def watched(con: Any, rules: Any) -> Any:
        nonlocal judged
        pairs = choose(con, rules)
        [[judged]] = con.sql("SELECT count(*) FROM shared").fetchall()
        return pairs

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linking.sharing, "choose", watched)
        link(settings, start(settings), Lake(settings.lake_dir))
    assert judged == 66 * 200
    assert {x["shared"] for x in current(Lake(settings.lake_dir)).to_pylist()} == {1000}
