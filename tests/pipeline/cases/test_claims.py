"""Claiming: one holder at a time, also for many processes at once; lapsing; allocation."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import func, select

from pipeline.audit import log as audit_log
from pipeline.cases.cases import NOTE_LIMIT
from pipeline.cases.views import case as view
from pipeline.cases.views.queue import QueueFilters
from pipeline.cases.work import bands, claims, notes
from pipeline.errors import ConflictError, PermissionDeniedError, UsageError
from pipeline.people import users
from pipeline.store.actors import SYSTEM
from pipeline.store.opening import Store
from pipeline.store.people_tables import AuditEntry
from pipeline.store.tables import Case, Change
from tests.pipeline.cases import worker
from tests.pipeline.cases.conftest import (
    ADMINISTRATOR,
    ANALYST,
    AUDITOR,
    DMI,
    OTHER,
    SUPERVISOR,
    UCOL,
    Clock,
    add_people,
)  # fmt: skip
from tests.pipeline.cases.samples import assessment, case_of, publish_rows, referral_row

CLIENTS, CASES = 16, 96


def start(store: Store, folder: Path, users: Sequence[str]) -> subprocess.Popen[bytes]:
    """The clients as processes, all ready to begin."""
    folder.mkdir()
    settings = store.settings
    arguments = [str(settings.home), settings.cases_url, str(settings.policy), str(folder), *users]
    process = subprocess.Popen([sys.executable, worker.__file__, *arguments])
    while len(list(folder.glob("*.ready"))) < len(users):
        assert process.poll() is None
        time.sleep(0.01)
    return process


def test_sixteen_processes_never_get_the_same_case(store: Store, tmp_path: Path, clock: Clock) -> None:
    publish_rows(store, assessments=[assessment(n, ("low", "medium", "high")[n % 3]) for n in range(CASES)])
    users_, folder = [f"user{n}" for n in range(CLIENTS)], tmp_path / "claims"
    process = start(store, folder, users_)
    (folder / "go").touch()
    assert process.wait(timeout=200) == 0
    claimed = {user: (folder / user).read_text().split() for user in users_}
    total = Counter(case for cases in claimed.values() for case in cases)
    assert len(total) == CASES
    assert set(total.values()) == {1}
    with store.reader() as session:
        held = dict(session.execute(select(Case.case_id, Case.holder)).all())
        logged = session.scalar(select(func.count()).where(AuditEntry.action == "case.claimed"))
    assert held == {case: user for user, cases in claimed.items() for case in cases}
    assert logged == CASES
    assert audit_log.verify(store, SYSTEM).entries > CASES


def test_killed_clients_lose_nothing_and_double_nothing(store: Store, tmp_path: Path) -> None:
    publish_rows(store, assessments=[assessment(n) for n in range(100)])
    folder = tmp_path / "claims"
    process = start(store, folder, [f"user{n}" for n in range(4)])
    (folder / "go").touch()
    for n in range(3):
        while process.poll() is None and not ((folder / f"user{n}").exists() and (folder / f"user{n}").read_text()):
            time.sleep(0.002)
        with contextlib.suppress(ProcessLookupError):  # it had finished already
            os.kill(int((folder / f"user{n}.ready").read_text()), signal.SIGKILL)
    process.wait(timeout=200)
    with store.reader() as session:
        held = dict(session.execute(select(Case.case_id, Case.holder)).all())
        logged = session.scalar(select(func.count()).where(AuditEntry.action == "case.claimed"))
    told = {case: f"user{n}" for n in range(4) for case in (folder / f"user{n}").read_text().split()}
    assert None not in held.values()
    assert logged == len(held) == 100
    assert told.items() <= held.items()
    audit_log.verify(store, SYSTEM)


def test_the_next_case_is_the_first_of_the_queue(store: Store, clock: Clock) -> None:
    publish_rows(store, assessments=[assessment(1, "low"), assessment(2, "very_high"), assessment(3, "high")])
    with store.session() as session:
        first = claims.claim_next(session, ANALYST)
        assert first is not None
        assert (first.case_id, first.state, first.holder) == (case_of(2), "allocated", "ana")
        assert first.claim_expires_at is not None
        second = claims.claim_next(session, OTHER, QueueFilters(band=("low",)))
        assert second is not None
        assert second.case_id == case_of(1)
    with store.session() as session:
        third = claims.claim_next(session, OTHER)
        assert third is not None
        assert third.case_id == case_of(3)
        assert claims.claim_next(session, OTHER) is None


def test_a_held_case_cannot_be_taken_until_the_claim_lapses(store: Store, clock: Clock) -> None:
    publish_rows(store, assessments=[assessment(1)])
    with store.session() as session:
        claims.claim(session, ANALYST, case_of(1))
    with pytest.raises(ConflictError, match="held by ana"), store.session() as session:
        claims.claim(session, OTHER, case_of(1))
    clock.forward(hours=12)
    with store.session() as session:
        assert claims.claim(session, OTHER, case_of(1)).holder == "bob"
    with pytest.raises(ConflictError, match="held by bob"), store.session() as session:
        notes_version = 3
        bands.raise_band(session, ANALYST, case_of(1), "high", reason_code="judgement", note="x", version=notes_version)


def test_a_refusal_names_people_and_not_accounts(store: Store, clock: Clock) -> None:
    add_people(store)
    with store.reader() as session:
        ana = users.actor(session, "ana").name
    assert ana != "ana"
    publish_rows(store, assessments=[assessment(1)])
    with store.session() as session:
        version = claims.claim(session, ANALYST, case_of(1)).version
    with pytest.raises(ConflictError, match=f"held by {ana} already"), store.session() as session:
        claims.claim(session, OTHER, case_of(1))
    with pytest.raises(ConflictError, match=rf"held by {ana}\."), store.session() as session:
        bands.raise_band(session, OTHER, case_of(1), "high", reason_code="judgement", note="x", version=version)
    with pytest.raises(ConflictError, match=f"changed by {ana} on"), store.session() as session:
        notes.add(session, OTHER, case_of(1), "Second", version=version - 1)
    with store.reader() as session:
        stored = session.scalars(select(Change.text).where(Change.case_id == case_of(1))).all()
    assert "Claimed by ana" in stored, "the history keeps the account, whose name may change"


def test_work_renews_a_claim_and_an_enquiry_does_not_lapse(store: Store, clock: Clock) -> None:
    publish_rows(store, assessments=[assessment(1)])
    with store.session() as session:
        version = claims.claim(session, ANALYST, case_of(1)).version
    clock.forward(hours=11)
    with store.session() as session:
        notes.add(session, ANALYST, case_of(1), "Called the provider", version=version)
    clock.forward(hours=11)
    with pytest.raises(ConflictError), store.session() as session:
        claims.claim(session, OTHER, case_of(1))
    with store.session() as session:
        assert claims.expire(session, SYSTEM) == 0
    clock.forward(hours=2)
    with store.session() as session:
        assert claims.expire(session, SYSTEM) == 1
        case = session.get_one(Case, case_of(1))
        assert (case.state, case.holder) == ("new", None)


def test_release_is_for_the_holder_or_a_supervisor(store: Store, clock: Clock) -> None:
    publish_rows(store, assessments=[assessment(1)])
    with store.session() as session:
        version = claims.claim(session, ANALYST, case_of(1)).version
    with pytest.raises(ConflictError, match="not held by you"), store.session() as session:
        claims.release(session, OTHER, case_of(1), version=version)
    with store.session() as session:
        case = claims.release(session, SUPERVISOR, case_of(1), version=version)
        assert (case.state, case.holder) == ("new", None)
    with pytest.raises(ConflictError, match="held by nobody"), store.session() as session:
        claims.release(session, SUPERVISOR, case_of(1), version=case.version)


def test_a_stale_version_is_refused_with_who_and_when(store: Store, clock: Clock) -> None:
    publish_rows(store, assessments=[assessment(1)])
    with store.session() as session:
        version = claims.claim(session, ANALYST, case_of(1)).version
        notes.add(session, ANALYST, case_of(1), "First", version=version)
    with pytest.raises(ConflictError) as caught, store.session() as session:
        notes.add(session, OTHER, case_of(1), "Second", version=version)
    assert "changed by ana on 2 Mar 2026, 09:00" in str(caught.value)
    assert "Nothing of yours was saved" in caught.value.remedy
    with store.reader() as session:
        assert session.scalar(select(func.count()).select_from(Change)) == 3
    with pytest.raises(UsageError, match="10000 are possible"), store.session() as session:
        notes.add(session, OTHER, case_of(1), "x" * (NOTE_LIMIT + 1), version=version + 1)


def test_allocation_to_people_and_teams(store: Store, clock: Clock) -> None:
    add_people(store)
    publish_rows(
        store, referrals=[referral_row(2, compartment="ucol")], assessments=[assessment(1), assessment(2, "high")]
    )
    with store.session() as session:
        users.add_team(session, ADMINISTRATOR, "north", "North")
        users.change(session, ADMINISTRATOR, "bob", version=1, team_id="north")
        case = claims.allocate(session, SUPERVISOR, case_of(1), reason_code="skills", version=1, user_id="ana")
        assert (case.holder, case.state) == ("ana", "allocated")
        case = claims.allocate(session, SUPERVISOR, case_of(1), reason_code="skills", version=2, team_id="north")
        assert (case.holder, case.team_id, case.state) == (None, "north", "new")
    for user, words in (("dan", "works on cases"), ("nobody", "works on cases"), ("ana", "may not see")):
        with pytest.raises(UsageError, match=words), store.session() as session:
            claims.allocate(session, SUPERVISOR, case_of(2), reason_code="skills", version=1, user_id=user)
    with store.session() as session:
        assert claims.claim_next(session, ANALYST) is None
        north = users.actor(session, "bob")
        found = claims.claim_next(session, north)
        assert found is not None
        assert found.case_id == case_of(1)
        cleared = claims.claim_next(session, UCOL)
        assert cleared is not None
        assert cleared.case_id == case_of(2)


@pytest.mark.parametrize("person", [DMI, AUDITOR, ADMINISTRATOR])
def test_others_cannot_claim(sqlite_store: Store, person: object) -> None:
    publish_rows(sqlite_store, assessments=[assessment(1)])
    with pytest.raises(PermissionDeniedError), sqlite_store.session() as session:
        claims.claim(session, person, case_of(1))  # type: ignore[arg-type]
    with sqlite_store.reader() as session:
        last = session.scalars(select(AuditEntry).order_by(AuditEntry.seq.desc()).limit(1)).one()
    assert (last.action, last.object, last.case_id) == ("refused", "case.claim", case_of(1))


def test_what_a_person_did_is_no_news_to_them(store: Store, clock: Clock) -> None:
    publish_rows(store, assessments=[assessment(1)])
    with store.session() as session:
        first = view.read(session, ANALYST, case_of(1))
        view.read(session, OTHER, case_of(1))
        assert first.first_look and [c.by for c in first.changes] == ["system"]
    with store.session() as session:
        claims.claim(session, ANALYST, case_of(1))
    with store.session() as session:
        again, other = (view.read(session, who, case_of(1)) for who in (ANALYST, OTHER))
        assert (again.first_look, again.changes) == (False, [])
        assert [c.by for c in other.changes] == [ANALYST.user_id]
