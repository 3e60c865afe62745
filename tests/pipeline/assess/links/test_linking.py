"""Links: against a slow twin, found at once or night by night, with evidence, hubs, and changes of policy."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import random
import shutil
from collections import Counter
from datetime import timedelta
from typing import Any

import orjson
import pytest
import yaml

from pipeline import policy
from pipeline.assess.links.linking import link
from pipeline.assess.links.stored import current, latest, link_id
from pipeline.assess.links.strength import LinkRules, Sighting
from pipeline.lake import Lake
from pipeline.settings import Settings
from tests.pipeline.assess.builders import (
    T0,
    commit,
    content,
    fingerprint,
    identifier,
    match,
    media,
    referral,
    start,
    subject,
)

Rows = dict[str, list[dict[str, Any]]]


def linked(settings: Settings, night: int = 1) -> list[dict[str, Any]]:
    """Link, and return the links that hold."""
    lake = Lake(settings.lake_dir)
    link(settings, start(settings, night), lake)
    return current(lake).to_pylist()


def brief(links: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
    return {(x["left"], x["right"], x["kind"], x["strength"], x["shared"], x["evidence"]) for x in links}


def random_rows(seed: int, referrals: int = 14) -> Rows:
    rng = random.Random(seed)
    names = [f"R{i:02d}" for i in range(referrals)]
    identifiers = []
    for name in names:
        for _ in range(rng.randrange(6)):
            kind = rng.choice(["email", "phone", "username", "user_id", "device", "ip", "ip"])
            value = {"ip": f"81.0.0.{rng.randrange(4)}"}.get(kind, f"{kind}-value-{rng.randrange(4)}")
            more: dict[str, Any] = {}
            if kind in ("username", "user_id"):
                more["service"] = rng.choice([None, "a", "b"])
            if kind == "ip":
                more["port"] = rng.choice([None, 1000, 2000])
                more["seen_at"] = rng.choice([None, T0 + timedelta(minutes=rng.randrange(600))])
            row = identifier(name, kind, value, **more)
            identifiers.append(row | {"identifier_id": f"i{len(identifiers):03d}"})
    files = [media(n, f"file-{rng.randrange(5)}") for n in names for _ in range(rng.randrange(2))]
    return {"referrals": [referral(n) for n in names], "identifiers": identifiers, "media_files": files}


def naive(settings: Settings, rows: Rows) -> set[tuple[Any, ...]]:
    """Every pair of referrals, every value, by plain loops (identifiers and SHA-256 of files only)."""
    rules = LinkRules(policy.load(settings, "linking").data)
    held: dict[str, dict[tuple[str, str], list[Sighting]]] = {r["referral_id"]: {} for r in rows["referrals"]}
    for r in sorted(rows["identifiers"], key=lambda r: r["identifier_id"]):
        keys = [(r["kind"], r["value"])]
        if r["kind"] in ("username", "user_id"):
            keys = [(r["kind"], f"{r['service']}\x1f{r['value']}")] if r["service"] else []
            keys.append(("username_elsewhere", r["value"]))
        s = Sighting("identifiers", r["identifier_id"], None, None, r.get("port"), r.get("seen_at"), False, None)
        for key in keys:
            seen = s if key[0] == "ip" else s._replace(port=None, seen_at=None)
            held[r["referral_id"]].setdefault(key, []).append(seen)
    for f in {f["file_id"]: f for f in rows["media_files"]}.values():
        key = ("file_hash", f"sha256:{f['sha256'].hex()}")
        held[f["referral_id"]].setdefault(key, []).append(
            Sighting("media_files", f["file_id"], None, None, None, None, False, None)
        )
    found, most = set(), rules.data["judged_values"]
    for a, b in itertools.combinations(sorted(held), 2):
        kinds: dict[str, list[Any]] = {}
        shared = set(held[a]) & set(held[b])
        of_kind = Counter(kind for kind, _ in shared)
        elsewhere = [value for kind, value in sorted(shared) if kind == "username_elsewhere"][: 4 * most]
        for kind, value in sorted(shared):
            if kind == "username_elsewhere" and (
                value not in elsewhere
                or max(of_kind["username"], of_kind["user_id"]) > most
                or any(k in ("username", "user_id") and v.endswith("\x1f" + value) for k, v in shared)
            ):
                continue
            holders = sum((kind, value) in h for h in held.values())
            verdict = rules.judge(kind, value, held[a][kind, value], held[b][kind, value], holders)
            if verdict is not None:
                kinds.setdefault(kind, []).append(verdict)
        for verdicts in kinds.values():
            best = max(verdicts, key=lambda v: ["weak", "medium", "strong"].index(v.strength))
            found.add((a, b, "ip" if best.kind.startswith("ip") else best.kind, best.strength, len(verdicts)))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_links_agree_with_trying_every_pair(settings: Settings, seed: int) -> None:
    rows = random_rows(seed)
    rows["media_files"] = list({f["file_id"]: f for f in rows["media_files"]}.values())
    commit(settings, "one", **rows)
    found = {
        (x["left"], x["right"], x["kind"].replace("ip_port_time", "ip"), x["strength"], x["shared"])
        for x in linked(settings)
    }
    assert found == naive(settings, rows)
    assert found or seed


def linked_by_night(settings: Settings, rows: Rows, seed: int, nights: int) -> None:
    """Deliver the referrals of `rows` on random nights, and link after each. Identifiers of a referral may come later than it does."""
    rng = random.Random(seed)
    where = {r["referral_id"]: rng.randrange(nights) for r in rows["referrals"]}
    when = {r["identifier_id"]: rng.randrange(where[r["referral_id"]], nights) for r in rows["identifiers"]}
    for n in range(nights):
        part = {table: [r for r in listed if where[r["referral_id"]] == n] for table, listed in rows.items()}
        part["identifiers"] = [r for r in rows["identifiers"] if when[r["identifier_id"]] == n]
        commit(settings, f"n{n}", **part)
        linked(settings, n + 1)


@pytest.mark.parametrize("seed", range(3))
def test_night_by_night_gives_the_same_links_as_all_at_once(settings: Settings, seed: int) -> None:
    rows = random_rows(100 + seed)
    rows["media_files"] = list({f["file_id"]: f for f in rows["media_files"]}.values())
    whole = dataclasses.replace(settings, home=settings.home / "whole")
    commit(whole, "one", **rows)
    linked_by_night(settings, rows, seed, 4)
    assert brief(current(Lake(settings.lake_dir)).to_pylist()) == brief(linked(whole))


def test_what_two_old_referrals_share_from_before_stays_in_their_link(settings: Settings) -> None:
    first = [identifier("R1", "email", "one@b.example"), identifier("R2", "email", "one@b.example")]
    commit(settings, "one", referrals=[referral("R1"), referral("R2")], identifiers=first)
    assert [x["shared"] for x in linked(settings)] == [1]
    second = [identifier("R1", "email", "two@b.example"), identifier("R2", "email", "two@b.example")]
    commit(settings, "two", identifiers=second)
    [again] = linked(settings, 2)
    assert (again["shared"], again["version"], again["run_id"]) == (2, 2, "night-2")
    assert "2 values in common" in again["explanation"]


def test_linking_again_changes_nothing(settings: Settings) -> None:
    commit(settings, "one", **random_rows(3))
    before = linked(settings)
    lake = Lake(settings.lake_dir)
    assert linked(settings) == before and linked(settings, 2) == before
    assert len(lake.commits("link")) == 1


def test_a_link_names_the_rows_on_both_sides_and_its_persons(settings: Settings) -> None:
    rows = [
        identifier("R1", "phone", "+441632960001", subject_id="s-R1-0"),
        identifier("R2", "phone", "+441632960001", subject_id="s-R2-0"),
    ]
    persons = [subject("R1"), subject("R2", role="victim")]
    commit(settings, "one", referrals=[referral("R1"), referral("R2")], identifiers=rows, subjects=persons)
    [found] = linked(settings)
    assert found["link_id"] == link_id("R1", "R2", "phone")
    assert (found["kind"], found["strength"], found["withdrawn"]) == ("phone", "strong", False)
    [value] = orjson.loads(found["evidence"])
    assert value["value"] == "+441632960001"
    assert value["left"] == [
        {"table": "identifiers", "id": rows[0]["identifier_id"], "subject_id": "s-R1-0", "role": "suspect"}
    ]
    assert value["right"][0]["role"] == "victim" and "victim" in found["explanation"]
    assert "+44" not in found["explanation"]


def test_persons_with_the_same_name_and_birth_are_linked_whatever_order_and_accents(settings: Settings) -> None:
    persons = [
        subject("R1", name="Zoë Example-Person", date_of_birth="1980-02-03"),
        subject("R2", name="EXAMPLE PERSON, Zoe", date_of_birth="1980-02-03"),
        subject("R3", name="Zoe Example Person", date_of_birth="1981-02-03"),
        subject("R4", name="Zoe Example Person", date_of_birth="03.02.80"),
    ]
    commit(settings, "one", referrals=[referral(f"R{i}") for i in range(1, 5)], subjects=persons)
    [found] = linked(settings)
    assert (found["left"], found["right"], found["kind"], found["strength"]) == ("R1", "R2", "person", "medium")


def test_the_contact_of_a_provider_links_nothing(settings: Settings) -> None:
    rows = [identifier(r, "email", "desk@provider.example", subject_id=f"s-{r}-0") for r in ("R1", "R2")]
    persons = [subject(r, role="reporter") for r in ("R1", "R2")]
    commit(settings, "one", referrals=[referral("R1"), referral("R2")], identifiers=rows, subjects=persons)
    assert linked(settings) == []


def test_usernames_are_one_only_on_one_service(settings: Settings) -> None:
    rows = [
        identifier("R1", "username", "someone99", service="chat"),
        identifier("R2", "username", "someone99", service="chat"),
        identifier("R3", "username", "someone99", service="games"),
        identifier("R4", "username", "someone99"),
    ]
    commit(settings, "one", referrals=[referral(f"R{i}") for i in range(1, 5)], identifiers=rows)
    found = {(x["left"], x["right"]): (x["kind"], x["strength"]) for x in linked(settings)}
    assert found[("R1", "R2")] == ("username", "strong")
    assert {v for k, v in found.items() if k != ("R1", "R2")} == {("username_elsewhere", "weak")}
    assert len(found) == 6


@pytest.mark.parametrize(
    ("kind", "left", "right", "found"),
    [
        ("username", ("Instagram, Inc.", "abc"), ("www.instagram.com", "abc"), "username"),
        ("user_id", ("meta instagram", "1000"), ("instagram", "1000"), "user_id"),
        ("user_id", ("instagram", "100099"), (None, "100099"), "username_elsewhere"),
        ("username", ("Somewhere Else Ltd", "abc"), ("somewhere else", "abc"), "username"),
        ("username", ("twitter", "abc"), ("X Corp.", "abc"), "username"),
        ("username", ("instagram", "abc"), ("facebook", "abc"), None),
        ("url", (None, "https://www.instagram.com/abc/"), (None, "http://instagram.com/abc"), "url"),
        ("url", (None, "https://www.instagram.com/"), (None, "https://www.instagram.com/"), None),
        ("username", ("kik", "unknown"), ("kik", "unknown"), None),
        ("username", ("kik", "n/a"), ("kik", "n/a"), None),
        ("device", (None, "not known"), (None, "not known"), None),
        ("device", (None, "000000000000000"), (None, "000000000000000"), None),
        ("vehicle", (None, "notknown"), (None, "notknown"), None),
        ("phone", (None, "+440000000000"), (None, "+440000000000"), None),
        ("phone", (None, "+447911120000"), (None, "+447911120000"), "phone"),
        ("email", (None, "none@none.com"), (None, "none@none.com"), None),
    ],
)
def test_spellings_of_a_service_are_one_and_values_that_name_nobody_link_nothing(
    settings: Settings, kind: str, left: tuple[str | None, str], right: tuple[str | None, str], found: str | None
) -> None:
    rows = [identifier("R1", kind, left[1], service=left[0]), identifier("R2", kind, right[1], service=right[0])]
    commit(settings, "one", referrals=[referral("R1"), referral("R2")], identifiers=rows)
    assert [x["kind"] for x in linked(settings)] == ([found] if found else [])


def test_persons_without_a_name_and_empty_files_link_nothing(settings: Settings) -> None:
    persons = [subject(r, name="Not Known", date_of_birth="1980-01-01") for r in ("R1", "R2")]
    empty = [media(r, r) | {"sha256": hashlib.sha256(b"").digest()} for r in ("R1", "R2")]
    commit(settings, "one", referrals=[referral("R1"), referral("R2")], subjects=persons, media_files=empty)
    assert linked(settings) == []


def test_a_file_links_by_whichever_digest_both_sides_have(settings: Settings) -> None:
    files = [
        media("R1", "f"),
        media("R2", "g", state="hash_only", claimed_md5=b"m" * 16),
        media("R3", "h", state="hash_only", claimed_sha1=b"s" * 20),
        media("R4", "i", state="hash_only", claimed_sha256=content("f")),
    ]
    commit(settings, "one", referrals=[referral(f"R{i}") for i in range(1, 5)], media_files=files)
    assert [(x["left"], x["right"]) for x in linked(settings)] == [("R1", "R4")]
    commit(settings, "two", "fingerprint", fingerprints=[fingerprint("f", md5=b"m" * 16, sha1=b"s" * 20)])
    found = linked(settings, 2)
    assert {(x["left"], x["right"]) for x in found} == {("R1", "R2"), ("R1", "R3"), ("R1", "R4")}
    assert {(x["kind"], x["strength"], x["shared"]) for x in found} == {("file_hash", "medium", 1)}


def test_copies_of_the_same_known_media_link_weakly_unless_the_file_is_the_same(settings: Settings) -> None:
    files = [media("R1", "f"), media("R2", "g"), media("R3", "g")]
    matches = [match("f", 7), match("g", 7)]
    commit(settings, "one", referrals=[referral(f"R{i}") for i in range(1, 4)], media_files=files, matches=matches)
    found = {(x["left"], x["right"]): (x["kind"], x["strength"]) for x in linked(settings)}
    assert found == {
        ("R1", "R2"): ("known_media", "weak"),
        ("R1", "R3"): ("known_media", "weak"),
        ("R2", "R3"): ("file_hash", "medium"),
    }


def test_a_better_link_of_a_later_night_takes_the_place_of_a_weak_one(settings: Settings) -> None:
    first = [identifier(r, "username", "someone99", service=r.lower()) for r in ("R1", "R2")]
    commit(settings, "one", referrals=[referral("R1"), referral("R2")], identifiers=first)
    assert [x["kind"] for x in linked(settings)] == ["username_elsewhere"]
    commit(settings, "two", identifiers=[identifier("R1", "username", "someone99", service="r2")])
    assert [x["kind"] for x in linked(settings, 2)] == ["username"]
    gone = next(x for x in latest(Lake(settings.lake_dir)).to_pylist() if x["withdrawn"])
    assert (gone["kind"], gone["version"]) == ("username_elsewhere", 2)


def test_a_supplement_is_linked_as_such_and_not_as_an_overlap(settings: Settings) -> None:
    rows = [identifier(r, "email", "a@b.example") for r in ("R1", "R2")]
    commit(settings, "one", referrals=[referral("R1"), referral("R2", supplements="R1")], identifiers=rows)
    [found] = linked(settings)
    assert (found["kind"], found["strength"]) == ("supplement", "strong")


def test_two_reports_that_only_bear_one_number_are_not_linked(settings: Settings) -> None:
    rows = [referral("R1", source="NCA_NCMEC", source_reference="77", prior_references=None)]
    rows += [referral("R2", source="NCA_DRB", source_reference="77", prior_references=None)]
    commit(settings, "one", referrals=rows)
    assert linked(settings) == []


@pytest.mark.parametrize("source", ["NCA_NCMEC", "OTHER"])
def test_an_earlier_report_that_comes_later_is_linked(settings: Settings, source: str) -> None:
    """Named before it was held, by its number; other sources may use the same number for another report."""
    later = referral("R2", source="NCA_DRB", source_reference="D-2", prior_references=["77", "78"])
    commit(settings, "one", referrals=[later])
    assert linked(settings) == []
    commit(settings, "two", referrals=[referral("R1", source=source, source_reference="77", prior_references=None)])
    found = [(x["left"], x["right"], x["kind"], x["strength"]) for x in linked(settings, 2)]
    assert found == ([("R1", "R2", "supplement", "strong")] if source == "NCA_NCMEC" else [])


def test_a_hub_links_each_newcomer_to_a_few_and_weakens_what_it_linked_before(settings: Settings) -> None:
    hub = policy.load(settings, "linking").data["hub"]
    names = [f"R{i:03d}" for i in range(hub + 10)]

    def arrive(key: str, chosen: list[str]) -> None:
        rows = [identifier(n, "email", "everybody@b.example") for n in chosen]
        commit(settings, key, referrals=[referral(n) for n in chosen], identifiers=rows)

    arrive("one", names[:hub])
    before = linked(settings)
    assert len(before) == hub * (hub - 1) // 2 and {x["strength"] for x in before} == {"strong"}
    arrive("two", names[hub:])
    after = linked(settings, 2)
    assert {x["strength"] for x in after} == {"weak"}
    assert len(after) == len(before) + 3 * 10
    assert all(f"{hub + 10} referrals" in x["explanation"] for x in after)


def test_nobody_in_a_hub_gathers_links_over_the_nights(settings: Settings) -> None:
    """What is new was linked to the first few of a hub by their ids, so that these had a link with every referral of later years,
    and were read and assessed again each night."""
    hub, few = (policy.load(settings, "linking").data[key] for key in ("hub", "hub_links"))
    names = [hashlib.sha256(f"{n}".encode()).hexdigest()[:8] for n in range(hub + 1 + 20 * 10)]
    for night, chosen in enumerate([names[: hub + 1], *(names[n : n + 10] for n in range(hub + 1, len(names), 10))]):
        rows = [identifier(n, "email", "everybody@b.example") for n in chosen]
        commit(settings, f"night-{night}", referrals=[referral(n) for n in chosen], identifiers=rows)
        found = linked(settings, night + 1)
    of_each = Counter(x for link in found for x in (link["left"], link["right"]))
    assert set(of_each) == set(names)  # each is linked to some
    assert few * (len(names) - 1) <= len(found) <= few * len(names)
    assert max(of_each.values()) <= 8 * few


def test_a_changed_policy_judges_everything_anew_and_withdraws_what_no_longer_holds(settings: Settings) -> None:
    rows = [identifier(r, "ip", "81.9.9.9", seen_at=T0) for r in ("R1", "R2")]
    rows += [identifier(r, "email", "a@b.example") for r in ("R1", "R2")]
    commit(settings, "one", referrals=[referral("R1"), referral("R2")], identifiers=rows)
    assert {(x["kind"], x["strength"]) for x in linked(settings)} == {("ip", "medium"), ("email", "strong")}
    other = settings.home / "policy"
    shutil.copytree(settings.policy, other)
    for name in ("linking", "lists"):
        data = yaml.safe_load((settings.policy / f"{name}.yaml").read_text())
        if name == "linking":
            data["version"] = "2"
            data["ip"]["ignored_ranges"].append({"range": "81.0.0.0/8", "label": "test"})
            data["kinds"]["email"]["strength"] = "medium"
        (other / f"{name}.yaml").write_text(yaml.safe_dump(data))
    changed = dataclasses.replace(settings, policy=other)
    assert {(x["kind"], x["strength"]) for x in linked(changed, 2)} == {("email", "medium")}
    everything = {x["kind"]: x for x in latest(Lake(settings.lake_dir)).to_pylist()}
    assert everything["ip"]["withdrawn"] is True and everything["ip"]["version"] == 2
    assert {(x["kind"], x["strength"], x["version"]) for x in linked(settings, 3)} == {
        ("ip", "medium", 3),
        ("email", "strong", 3),
    }


def test_after_files_were_merged_only_what_is_new_is_judged(settings: Settings) -> None:
    """Merging makes new files of rows that are linked already; neither links nor what is judged may change by it."""
    for n in range(6):
        commit(
            settings,
            f"n{n}",
            referrals=[referral(f"R{n}")],
            identifiers=[identifier(f"R{n}", "email", f"{n % 2}@b.example")],
        )
        link(settings, start(settings, n), Lake.of(settings))
    before = current(Lake.of(settings)).to_pylist()
    assert len(before) == 6
    assert Lake.of(settings).merge("weekly")
    again = link(settings, start(settings, 7), Lake.of(settings))
    assert (again.counts["links_judged"], again.outputs) == (0, [])
    commit(settings, "n8", referrals=[referral("R8")], identifiers=[identifier("R8", "email", "0@b.example")])
    after = link(settings, start(settings, 8), Lake.of(settings))
    assert after.counts["links_new_or_changed"] == 3
    assert len(current(Lake.of(settings)).to_pylist()) == 9


@pytest.mark.parametrize("hub", [2, 3])
def test_a_hub_of_few_links_no_referral_with_itself(settings: Settings, hub: int) -> None:
    """Where a policy says that a hub links to as many others as it has referrals."""
    other = settings.home / "policy"
    shutil.copytree(settings.policy, other)
    data = yaml.safe_load((settings.policy / "linking.yaml").read_text())
    (other / "linking.yaml").write_text(yaml.safe_dump(data | {"hub": hub, "hub_links": 5}))
    names = [f"R{n}" for n in range(hub + 1)]
    commit(settings, "one", referrals=[referral(n, prior_references=["the same earlier one"]) for n in names])
    found = linked(dataclasses.replace(settings, policy=other))
    assert {(x["left"], x["right"]) for x in found} == set(itertools.combinations(names, 2))
