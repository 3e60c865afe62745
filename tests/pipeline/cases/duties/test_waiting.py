"""What the store keeps of the flags that wait is what its flags and cases say, whatever happens to them and whoever asks."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.orm import Session

from pipeline.cases.duties import escalations, waiting
from pipeline.cases.views import mine, supervision
from pipeline.cases.work import bands, claims, retention, transfers
from pipeline.senders import COMPARTMENTS
from pipeline.settings import Settings
from pipeline.store.actors import Actor
from pipeline.store.duty_tables import Flag, FlagTally, WaitingFlag
from pipeline.store.opening import MIGRATIONS, Store, open_store
from pipeline.store.tables import Case
from pipeline.store.types import BANDS
from tests.pipeline.cases import samples
from tests.pipeline.cases.conftest import ANALYST, DATABASES, SERVER, UCOL, Clock, _administer

BOTH = frozenset({"ucol", "other"})
READERS = tuple(
    Actor(f"reader{n}", "A Reader", frozenset({"supervisor"}), compartments)
    for n, compartments in enumerate((frozenset(), frozenset({"ucol"}), frozenset({"other"}), BOTH))
)
EVERYBODY = Actor("sam", "Sam", frozenset({"supervisor"}), BOTH)
RULES = ("death", "immediate_risk", "police", "media", "deconfliction")
CASES = 14
STEPS = 14


# -- the slow obvious way ---------------------------------------------------------------------------------------------


def slow_flags(session: Session, actor: Actor) -> list[tuple[Flag, Case]]:
    """All flags and cases, looked at one by one."""
    session.expire_all()
    cases = {case.case_id: case for case in session.scalars(sa.select(Case))}
    may_see = {None, *actor.compartments}
    found = [
        (flag, cases[flag.case_id])
        for flag in session.scalars(sa.select(Flag))
        if flag.waiting and flag.case_id in cases
        if may_see.issuperset({flag.compartment, cases[flag.case_id].compartment})
    ]
    return sorted(found, key=lambda f: (BANDS.index(f[1].band), f[0].due_at, -f[1].score, f[1].case_id, f[0].flag_id))


def slow_strip(session: Session, actor: Actor, now: Any) -> list[escalations.Strip]:
    flags = [flag for flag, _ in slow_flags(session, actor)]
    found = []
    for role, post in {(flag.role, flag.post) for flag in flags}:
        its = [flag for flag in flags if (flag.role, flag.post) == (role, post)]
        late = {flag.case_id for flag in its if flag.due_at <= now}
        first = min(flag.due_at for flag in its)
        found.append(escalations.Strip(role, post, len({f.case_id for f in its}), len(late), first, len(its)))
    return sorted(found, key=lambda line: (line.first_due, line.role, line.post))


def check(store: Store, step: str) -> int:
    """Everything that is asked of waiting flags, for every reader, against the slow way. Returns how many flags all see."""
    with store.reader() as session:
        for actor in READERS:
            slow = [flag.flag_id for flag, _ in slow_flags(session, actor)]
            listed = escalations.open_flags(session, actor)
            assert [flag.flag_id for flag in listed] == slow, step
            for limit in (1, 2, 6, 1_000):
                assert escalations.open_flags(session, actor, limit=limit) == listed[:limit], step
            some = sorted({flag.case_id for flag in listed})[:3]
            assert escalations.open_flags(session, actor, of=some) == [f for f in listed if f.case_id in some], step
            for case_id in some:
                assert escalations.open_flags(session, actor, case_id) == [f for f in listed if f.case_id == case_id]
            assert escalations.strip(session, actor) == slow_strip(session, actor, store.clock()), step
            assert escalations.waiting_count(session, actor) == len(slow), step
            assert supervision.counts(session, actor)["flags"] == len(slow), step
        return len(slow)


# -- stores at random -------------------------------------------------------------------------------------------------


def flags_of(dice: random.Random) -> list[dict[str, Any]]:
    """Flags of an assessment, some of which rest on what is restricted alone."""
    return [
        {"rule": rule, "label": f"Flag {rule}", "reason": "Why", "evidence": [{"table": "any", "id": dice.choice(["F-1", samples.referral(3)])}]}
        for rule in dice.sample(RULES, dice.randrange(4))
    ]  # fmt: skip


def published(store: Store, dice: random.Random, number: int) -> None:
    """A night: raised, lowered, flagged, restricted and new cases, and at times one that joins another."""
    run = samples.night(number)
    rows = [
        samples.assessment(n, dice.choice(BANDS), version=number + 1, at=run, score=float(dice.randrange(9)), flags=flags_of(dice))
        for n in dice.sample(range(CASES), 6)
    ]  # fmt: skip
    if number and len(rows) > 1 and dice.random() < 0.5:
        rows[0]["summary"] = rows[0]["summary"] | {"joined_cases": [samples.case_of(dice.randrange(CASES))]}
    hidden = {3, dice.randrange(CASES)} if number % 2 else {3}
    referrals = [samples.referral_row(n, compartment="ucol") for n in hidden]
    samples.publish_rows(store, run, assessments=rows, referrals=referrals)


def acknowledged(store: Store, dice: random.Random, number: int) -> None:
    with store.session() as session:
        for flag in dice.sample(listed := escalations.open_flags(session, EVERYBODY), min(2, len(listed))):
            escalations.acknowledge(session, EVERYBODY, flag.case_id, flag.flag_id, told_to="A Person")


def transferred(store: Store, dice: random.Random, number: int) -> None:
    """A case without open duties is offered to another force, and taken or not."""
    with store.session() as session:
        for case in session.scalars(sa.select(Case).where(Case.state == "new").order_by(Case.case_id)):
            if not escalations.open_flags(session, EVERYBODY, case.case_id):
                claims.claim(session, EVERYBODY, case.case_id)
                transfers.transfer(
                    session, EVERYBODY, case.case_id, "43", recipient="A Person", reason_code="suspect_lives_there",
                    version=case.version,
                )  # fmt: skip
                if dice.random() < 0.5:
                    transfers.accept(session, EVERYBODY, case.case_id, accepted_by="B", version=case.version)
                return


def raised(store: Store, dice: random.Random, number: int) -> None:
    """A person raises a band."""
    with store.session() as session:
        low = session.scalars(sa.select(Case).where(Case.is_open.is_(True), Case.band == "low")).first()
        if low is not None:
            given = {"reason_code": "intelligence", "note": "Why", "version": low.version}
            bands.raise_band(session, EVERYBODY, low.case_id, "very_high", **given)


def erased(store: Store, dice: random.Random, number: int) -> None:
    """A closed case is erased, whatever waits in it."""
    with store.session() as session:
        case = session.scalars(sa.select(Case).order_by(Case.case_id.desc())).first()
        if case is not None:
            case.is_open, case.state = False, "closed"
            session.flush()
            retention.erase(session, EVERYBODY, case.case_id, reason_code="court_order", version=case.version)


def by_statement(store: Store, dice: random.Random, number: int) -> None:
    """Changes of many rows at once, past every function: the database follows them all the same."""
    some = [samples.case_of(n) for n in dice.sample(range(CASES), 4)]
    moment = store.clock() + timedelta(minutes=dice.randrange(-90, 90))
    statement = dice.choice(
        [
            sa.update(Case).where(Case.case_id.in_(some)).values(compartment=dice.choice([None, "ucol", "other"])),
            sa.update(Case).where(Case.case_id.in_(some)).values(band=dice.choice(BANDS), score=Case.score + 1),
            sa.update(Flag).where(Flag.case_id.in_(some)).values(compartment=dice.choice([None, "ucol", "other"])),
            sa.update(Flag).where(Flag.case_id.in_(some)).values(due_at=moment),
            sa.update(Flag).where(Flag.case_id.in_(some)).values(case_id=some[0]),
            sa.update(Flag).where(Flag.case_id.in_(some)).values(role="Another role", post=Flag.rule),
            sa.update(Flag).where(Flag.case_id.in_(some)).values(waiting=~Flag.waiting),
            sa.update(Flag).where(Flag.flag_id % 5 == 0).values(waiting=dice.choice([True, False])),
            sa.delete(Flag).where(Flag.case_id.in_(some[:1])),
            sa.delete(Case).where(Case.case_id == some[0]),
        ]
    )
    with store.session() as session:
        session.execute(statement)


def settled(store: Store, dice: random.Random, number: int) -> None:
    with store.session() as session:
        waiting.settle(session)


STEPS_OF_ALL_KINDS: tuple[Callable[[Store, random.Random, int], None], ...] = (
    published, acknowledged, transferred, raised, by_statement, by_statement, by_statement, erased, settled,
)  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_what_is_kept_is_what_flags_and_cases_say_whatever_happens(store: Store, clock: Clock, seed: int) -> None:
    dice, most = random.Random(seed), 0
    for number in range(STEPS):
        step = dice.choice(STEPS_OF_ALL_KINDS) if number % 5 else published
        step(store, dice, number)
        clock.forward(minutes=dice.randrange(120))
        most = max(most, check(store, f"{number}: {step.__name__}"))
    assert most > 5, "nothing that could be wrong"
    settled(store, dice, 0)
    check(store, "at the end")
    with store.reader() as session:
        kept = session.execute(sa.select(FlagTally.role, FlagTally.post, FlagTally.audience)).all()
        assert len(kept) == len(set(kept)), "one row for each sum"


def test_names_of_compartments_can_be_joined() -> None:
    assert not any(mark in name for name in COMPARTMENTS for mark in "&|")


def test_an_answered_flag_is_gone_from_lists_and_counts_in_its_own_transaction(store: Store) -> None:
    rows = [samples.assessment(n, "low", flags=[flag("death"), flag("media")]) for n in (1, 2)]
    samples.publish_rows(store, assessments=rows)
    with store.session() as session:
        (line,) = escalations.strip(session, ANALYST)
        assert (line.cases, line.flags) == (2, 4)
        first, second = escalations.open_flags(session, ANALYST, samples.case_of(1))
        escalations.acknowledge(session, ANALYST, first.case_id, first.flag_id, told_to="A Person")
        (line,) = escalations.strip(session, ANALYST)
        assert (line.cases, line.flags) == (2, 3)
        escalations.acknowledge(session, ANALYST, second.case_id, second.flag_id, told_to="A Person")
        (line,) = escalations.strip(session, ANALYST)
        assert (line.cases, line.flags) == (1, 2)


def test_a_case_counts_once_for_each_recipient_and_only_for_those_who_may_see_one_of_its_flags(store: Store) -> None:
    hidden = samples.referral(9)
    rows = [
        samples.assessment(1, "low", flags=[flag("death"), flag("media", hidden)]),
        samples.assessment(2, "low", flags=[flag("death", hidden), flag("police", hidden)]),
        samples.assessment(9, "high", flags=[flag("death")], summary={"compartment": "ucol", "source": "UCOL"}),
    ]
    samples.publish_rows(store, assessments=rows, referrals=[samples.referral_row(9, compartment="ucol")])
    with store.reader() as session:
        assert [(line.cases, line.flags) for line in escalations.strip(session, ANALYST)] == [(1, 1)]
        seen = {line.role: (line.cases, line.flags) for line in escalations.strip(session, UCOL)}
    assert seen == {"Detective Superintendent": (3, 4), "Head of Professional Standards": (1, 1)}


def test_tallies_are_added_up_when_there_are_many(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MANY_TALLIES", 6)
    rows = [samples.assessment(n, "low", flags=[flag("death"), flag("media")]) for n in range(8)]
    samples.publish_rows(store, assessments=rows)
    for n in range(8):
        with store.session() as session:
            number = escalations.open_flags(session, ANALYST, samples.case_of(n))[0].flag_id
            escalations.acknowledge(session, ANALYST, samples.case_of(n), number, told_to="A Person")
            assert session.scalar(sa.select(sa.func.count()).select_from(FlagTally)) <= 6 + 4
    check(store, "afterwards")


def test_only_the_flags_of_the_cases_that_a_person_holds_are_read_for_them(store: Store) -> None:
    samples.publish_rows(store, assessments=[samples.assessment(n, "low", flags=[flag("death")]) for n in range(4)])
    with store.session() as session:
        claims.claim(session, ANALYST, samples.case_of(2))
        (duty,) = mine.mine(session, ANALYST).duties
    assert (duty.case_id, duty.kind) == (samples.case_of(2), "flag")


def test_nobody_waits_for_somebody_else_who_acknowledges_or_adds_up(store: Store) -> None:
    """On PostgreSQL at the same time; SQLite has one writer at a time anyway."""
    samples.publish_rows(store, assessments=[samples.assessment(n, "low", flags=[flag("death")]) for n in range(3)])
    one, two, _ = _numbers(store)

    def acknowledge(flag_id: int, case_id: str, session: Session) -> None:
        if store.dialect == "postgresql":
            session.execute(sa.text("SET LOCAL lock_timeout = '3s'"))
        escalations.acknowledge(session, ANALYST, case_id, flag_id, told_to="A Person")
        waiting.settle(session)

    with store.session() as slower:
        acknowledge(*one, slower)
        if store.dialect == "postgresql":
            with store.session() as faster:
                acknowledge(*two, faster)
            with store.reader() as session:
                (line,) = escalations.strip(session, ANALYST)
                assert line.cases == 2, "what the slower one has done is not there yet"
    if store.dialect == "sqlite":
        with store.session() as later:
            acknowledge(*two, later)
    assert check(store, "both") == 1


# -- a store of the version before ------------------------------------------------------------------------------------


@pytest.fixture(params=DATABASES)
def older(request: pytest.FixtureRequest, tmp_path: Path, policy_folder: Path) -> Iterator[Settings]:
    """Settings of an empty store of version 0017."""
    home, url, name = tmp_path / "older", "", f"triage_{uuid.uuid4().hex}"
    home.mkdir()
    if request.param == "postgresql":
        _administer(SERVER, f'CREATE DATABASE "{name}"')
        url = sa.make_url(SERVER).set(database=name).render_as_string(hide_password=False)
    settings = Settings(home=home, policy=policy_folder, force="42", cases_url=url)
    engine = sa.create_engine(settings.case_store_url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0017")
    engine.dispose()
    yield settings
    if url:
        _administer(SERVER, f'DROP DATABASE "{name}" WITH (FORCE)')


def test_a_store_of_the_version_before_has_its_waiting_flags_counted(
    sqlite_store: Store, older: Settings, clock: Clock
) -> None:
    dice = random.Random(3)
    for number in range(4):
        published(sqlite_store, dice, number)
        acknowledged(sqlite_store, dice, number)
    with sqlite_store.session() as session:
        session.execute(
            sa.update(Case).where(Case.case_id.in_([samples.case_of(n) for n in (1, 2)])).values(compartment="other")
        )
    engine = sa.create_engine(older.case_store_url)
    with sqlite_store.reader() as session, engine.begin() as connection:
        for table in (Case, Flag):
            rows = [dict(row._mapping) for row in session.execute(sa.select(table.__table__))]
            connection.execute(sa.insert(table), rows)
        kept = [tuple(row) for row in session.execute(_KEPT)]
        strips = [escalations.strip(session, actor) for actor in READERS]
    engine.dispose()
    store = open_store(older, clock)
    assert check(store, "migrated") > 5
    with store.reader() as session:
        assert [tuple(row) for row in session.execute(_KEPT)] == kept
        assert [escalations.strip(session, actor) for actor in READERS] == strips
    by_statement(store, dice, 0)
    check(store, "and followed from then on")
    store.close()


_KEPT = sa.select(*WaitingFlag.__table__.columns).order_by(WaitingFlag.flag_id)


def flag(rule: str, *ids: str) -> dict[str, Any]:
    evidence = [{"table": "facts", "id": name, "note": "sample"} for name in ids or ("F-1",)]
    return {"rule": rule, "label": f"Flag {rule}", "reason": f"Because of {rule}.", "evidence": evidence}


def _numbers(store: Store) -> list[tuple[int, str]]:
    with store.reader() as session:
        return [(flag.flag_id, flag.case_id) for flag in escalations.open_flags(session, ANALYST)]
