"""The nine pairs that were measured in the wrong order, by name: whole synthetic cases, run through the engine.

Each test writes what two reports bring into a lake, has the engine assemble and assess the cases, and compares their
places. The last two are about the queue: there the stages assess and publish run, and the list is read.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pipeline.assess import stage
from pipeline.assess.evidence.case_file import Bulk, case_id
from pipeline.assess.links.stored import current
from pipeline.assess.models.model import Model
from pipeline.cases.publishing.stage import publish
from pipeline.cases.views import queue
from pipeline.lake import Lake
from pipeline.settings import Settings
from pipeline.store.actors import Actor
from pipeline.store.opening import open_store
from tests.pipeline.assess.builders import (
    T0,
    commit,
    fact,
    fingerprint,
    identifier,
    match,
    media,
    referral,
    start,
    subject,
)

MODEL = Model.load(Settings())
Rows = dict[str, list[dict[str, Any]]]
ANALYST = Actor("ana", "Ana Lyst", frozenset({"analyst"}))


def report(name: str, *, facts: tuple[str, ...] = (), **columns: Any) -> Rows:
    """A report that states some facts."""
    return {"referrals": [referral(name, **columns)], "facts": [fact(name, f) for f in facts]}


def viral_set(name: str) -> Rows:
    """Eighteen known files, all marked as viral, of category A, of children nobody has identified, viewed and public."""
    files = [f"{name}{n}" for n in range(18)]
    return {
        "referrals": [referral(name)],
        "media_files": [
            media(name, f, annotations=["viral", "infant"], viewed_by_provider="yes", publicly_available="yes")
            for f in files
        ],
        "fingerprints": [fingerprint(f) for f in files],
        "matches": [
            match(f, key, victim_identified="no", distributed="no", tags=["viral"]) for key, f in enumerate(files)
        ],
    }


def hash_only(name: str) -> Rows:
    """Two hundred files that were described and not sent, whose stated digests are known."""
    files = [media(name, f"{name}{n}", "hash_only") for n in range(200)]
    return {
        "referrals": [referral(name)],
        "media_files": files,
        "matches": [
            match(f["file_id"], key, "claimed", victim_identified="no", distributed="no", file_id=f["file_id"])
            for key, f in enumerate(files)
        ],
    }


def unseen(name: str) -> Rows:
    """One picture that no source knows."""
    return {
        "referrals": [referral(name)],
        "media_files": [media(name, "unseen")],
        "fingerprints": [fingerprint("unseen")],
    }


def father_who_teaches(name: str) -> Rows:
    """The occupation, the child's age and the two addresses say it; nobody states a fact."""
    people = [
        subject(name, 0, occupation="Primary school teacher", date_of_birth="1980-01-01"),
        subject(name, 1, "victim", approximate_age=6),
    ]
    homes = [identifier(name, "address", "12 Example Road, ZZ99 1AA", subject_id=p["subject_id"]) for p in people]
    return {"referrals": [referral(name)], "subjects": people, "identifiers": homes}


PAIRS: dict[str, tuple[Rows, Rows]] = {
    "one unseen file, a viral set": (unseen("H"), viral_set("L")),
    "a protection address, a viral set": (report("H", facts=("child_protection_address",)), viral_set("L")),
    "a police officer, a viral set": (report("H", facts=("profession_police",)), viral_set("L")),
    "Child Sexual Molestation, hash-only known": (report("H", facts=("contact_abuse",)), hash_only("L")),
    "NCMEC priority 1, NCMEC priority E": (report("H", priority="1"), report("L", priority="E")),
    "a father who teaches with the victim at his address, a viral set": (father_who_teaches("H"), viral_set("L")),
    "coercion of an identified child, UCOL's offer of a call": (
        report("H", source="UCOL", facts=("coercion", "child_identified")),
        report("L", source="UCOL", facts=("offer_call",)),
    ),
}
"""The higher report (H) and the lower one (L) of each pair."""


@pytest.mark.parametrize("pair", PAIRS)
def test_the_first_stands_above_the_second(settings: Settings, pair: str) -> None:
    for side, rows in zip("HL", PAIRS[pair], strict=True):
        commit(settings, side, **{table: listed for table, listed in rows.items() if listed})
    lake = Lake(settings.lake_dir)
    made = {c.referral_id: c for c in Bulk(settings, MODEL, lake, current(lake)).cases()}
    assert MODEL.score(made["H"]) > MODEL.score(made["L"])
    assert made["L"].counts.get("known", 0) == len(PAIRS[pair][1].get("matches", ()))


def test_one_account_in_five_reports_has_one_place_the_gravest_of_the_five(settings: Settings) -> None:
    """Four of the five say nothing else; the fifth states access to the child victim. One more case is nobody's."""
    reports = [referral(f"R{n}", force_received_at=T0 + timedelta(hours=n)) for n in range(6)]
    accounts = [identifier(f"R{n}", "username", "sample_user", service="samplechat") for n in range(5)]
    commit(settings, "a", referrals=reports, identifiers=accounts, facts=[fact("R4", "access_to_child_victim")])
    rows = queued(settings)
    assert {row.case_id for row in rows[:5]} == {case_id(f"R{n}") for n in range(5)}
    assert rows[5].case_id == case_id("R5")
    assert {row.place for row in rows[:5]} == {"high"} and len({row.due_at for row in rows[:5]}) == 1


def test_live_offending_stands_above_a_low_case_however_late(settings: Settings) -> None:
    """The low case has been past its target for a year; abuse is stated in a report of tonight."""
    reports = [referral("LATE", force_received_at=T0 - timedelta(days=365)), referral("LIVE")]
    commit(settings, "a", referrals=reports, facts=[fact("LIVE", "live_offending")])
    first, second = queued(settings)
    assert (first.case_id, first.band) == (case_id("LIVE"), "very_high")
    assert (second.case_id, second.band, second.urgency) == (case_id("LATE"), "low", "critically_overdue")


def queued(settings: Settings) -> tuple[queue.QueueRow, ...]:
    """The queue after a night of the stages assess and publish."""
    night = start(settings)
    stage.run(settings, night)
    store = open_store(settings, lambda: night.as_of)
    try:
        publish(store, Lake(settings.lake_dir), night)
        with store.reader() as session:
            return queue.page(session, ANALYST).rows
    finally:
        store.close()
