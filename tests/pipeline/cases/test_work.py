"""Work on a case: states, decisions, bands by people, requests, transfers, KIRAT, notifications, supervision, retention."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from pipeline.cases import states
from pipeline.cases.views import case as view
from pipeline.cases.views import supervision
from pipeline.cases.work import (
    bands,  # fmt: skip
    claims,  # fmt: skip
    decisions,  # fmt: skip
    kirat,  # fmt: skip
    notifications,  # fmt: skip
    requests,  # fmt: skip
    retention,  # fmt: skip
    second_looks,  # fmt: skip
    transfers,
)
from pipeline.errors import ConflictError, PermissionDeniedError, UsageError
from pipeline.store import tables
from pipeline.store.opening import Store
from pipeline.store.people_tables import AuditEntry
from pipeline.store.tables import Case, Change, Decision, Lowering, Note, Notification, Review, Tombstone
from pipeline.store.types import Base
from tests.pipeline.cases.conftest import ANALYST, AUDITOR, OTHER, SUPERVISOR, Clock
from tests.pipeline.cases.samples import assessment, case_of, link, publish_rows

ONE = case_of(1)


@pytest.fixture
def held(store: Store, clock: Clock) -> Store:
    """A store with case 1 (high), held by the analyst at version 2."""
    lado = [{"kind": "lado", "label": "LADO", "reason": "Works with children"}]
    publish_rows(store, assessments=[assessment(1, "high", notifications=lado), assessment(2)], links=[link(1, 2)])
    with store.session() as session:
        claims.claim(session, ANALYST, ONE)
    return store


def case(store: Store) -> Case:
    with store.reader() as session:
        return session.get_one(Case, ONE)


def do(store: Store, function: Callable[..., Any], *arguments: Any, actor: Any = ANALYST, **named: Any) -> Any:
    """Call a service on case 1 at its present version."""
    with store.session() as session:
        named.setdefault("version", session.get_one(Case, ONE).version)
        return function(session, actor, ONE, *arguments, **named)


def settle(store: Store) -> None:
    """Make every notification of case 1 that is open: a case does not leave before."""
    with store.reader() as session:
        numbers = session.scalars(
            select(Notification.notification_id).where(Notification.case_id == ONE, Notification.made_at.is_(None))
        ).all()
    for number in numbers:
        do(store, notifications.settle, number, reason_code="made", recipient="LADO office")


def close(store: Store) -> None:
    settle(store)
    do(store, decisions.decide, "close", reason_code="enquiry_complete", outcome="suspect_arrested", note=" Done ")


def test_a_case_from_enquiry_to_closure_and_back(held: Store, clock: Clock) -> None:
    do(held, decisions.decide, "start_enquiry", reason_code="warrant")
    assert (case(held).state, case(held).first_action_at) == ("in_enquiry", clock.at)
    close(held)
    done = case(held)
    assert (done.state, done.outcome, done.holder, done.is_open) == ("closed", "suspect_arrested", None, False)
    assert done.retention_review_at is not None
    assert done.retention_review_at.year == 2032
    with held.reader() as session:
        mine = decisions.own_outcomes(session, ANALYST)
        assert [(d.case_id, d.outcome, d.acted) for d in mine] == [(ONE, "suspect_arrested", True)]
        assert decisions.own_outcomes(session, OTHER) == []
        assert decisions.decided_cases(session, SUPERVISOR) == mine
        row = session.scalars(select(Decision).order_by(Decision.decision_id.desc())).first()
        assert row is not None
        assert (row.note, row.state_before, row.state_after, row.band_after) == ("Done", "in_enquiry", "closed", "high")
    with pytest.raises(PermissionDeniedError):
        do(held, decisions.decide, "reopen", reason_code="new_information")
    do(held, decisions.decide, "reopen", reason_code="new_information", actor=SUPERVISOR)
    assert (case(held).state, case(held).outcome) == ("new", None)
    assert case(held).reopen_reason == "Reopened by a person: New information"


@pytest.mark.parametrize(
    ("kind", "over", "words"),
    [
        ("burn", {}, "not a decision"),
        ("close", {"reason_code": "because"}, "Reasons: duplicate, enquiry_complete"),
        ("close", {"outcome": "unheard"}, "Outcomes: child_safeguarded"),
        ("close", {"outcome": None}, "Choose the outcome with which the case is closed"),
        ("start_enquiry", {"reason_code": "warrant", "outcome": "no_offence"}, "Only a closed case"),
    ],
)
def test_wrong_decisions_say_what_is_right(held: Store, kind: str, over: dict[str, Any], words: str) -> None:
    given = {"reason_code": "enquiry_complete", "outcome": "no_offence"} | over
    with pytest.raises(UsageError, match=words):
        do(held, decisions.decide, kind, **given)
    assert case(held).version == 2


@pytest.mark.parametrize("state", states.STATES)
@pytest.mark.parametrize("move", list(states.MOVES))
def test_every_move_from_every_state(state: str, move: str) -> None:
    moved = Case(case_id=ONE)
    states.put(moved, state)
    if state in states.MOVES[move]:
        states.move(moved, move)
        assert moved.state == states.MOVES[move][state]
        assert moved.is_open == (moved.state not in ("closed", "transferred"))
    else:
        with pytest.raises(ConflictError, match="Possible now"):
            states.move(moved, move)


def test_lowering_needs_two_people_a_code_and_a_note(held: Store) -> None:
    given = {"reason_code": "fact_disproved", "note": "Checked with the school"}
    with pytest.raises(UsageError, match="note is needed"):
        do(held, bands.propose_lowering, "low", **{**given, "note": " "})
    with pytest.raises(UsageError, match="not lower"):
        do(held, bands.propose_lowering, "very_high", **given)
    with pytest.raises(UsageError, match="is not a band"):
        do(held, bands.propose_lowering, "minor", **given)
    with pytest.raises(ConflictError, match="No lowering waits"):
        do(held, bands.approve_lowering, actor=SUPERVISOR, **given)
    do(held, bands.propose_lowering, "low", **given)
    assert (case(held).band, case(held).lowering_pending) == ("high", True)
    with pytest.raises(PermissionDeniedError):
        do(held, bands.approve_lowering, **given)
    with held.reader() as session:
        assert [c.case_id for _, c in supervision.lowerings(session, SUPERVISOR)] == [ONE]
    due = case(held).due_at
    do(held, bands.approve_lowering, actor=SUPERVISOR, **given)
    assert (case(held).band, case(held).lowering_pending) == ("low", False)
    assert case(held).due_at > due


def test_nobody_approves_an_own_proposal(held: Store) -> None:
    given = {"reason_code": "fact_disproved", "note": "Mine", "actor": SUPERVISOR}
    do(held, bands.propose_lowering, "low", **given)
    with pytest.raises(ConflictError, match="other than its proposer"):
        do(held, bands.approve_lowering, **given)
    assert case(held).band == "high"


def test_raising_is_immediate_and_withdraws_a_proposal(held: Store) -> None:
    do(held, bands.propose_lowering, "low", reason_code="wrong_person", note="Maybe")
    with pytest.raises(UsageError, match="not higher"):
        do(held, bands.raise_band, "high", reason_code="judgement", note="x")
    due = case(held).due_at
    do(held, bands.raise_band, "very_high", reason_code="access_confirmed", note="Lives with two")
    now = case(held)
    assert (now.band, now.lowering_pending, now.due_at < due) == ("very_high", False, True)
    with held.reader() as session:
        assert session.scalars(select(Lowering.status)).all() == ["withdrawn"]


def test_the_clock_runs_while_a_case_waits_for_information(held: Store) -> None:
    due = case(held).due_at
    given = {"asked_of": "Example Chat", "text": "Port and time zone, please", "reason_code": "missing_times"}
    with pytest.raises(UsageError, match="somebody who is asked"):
        do(held, requests.ask, **{**given, "asked_of": " "})
    row = do(held, requests.ask, **given)
    assert (case(held).state, case(held).due_at, case(held).is_open) == ("awaiting_information", due, True)
    with pytest.raises(UsageError, match="no request 99"):
        do(held, requests.answer, 99, answer="x")
    do(held, requests.answer, row.request_id, answer="Port 4711, UTC")
    assert (case(held).state, case(held).holder) == ("allocated", "ana")
    with pytest.raises(ConflictError, match="answered by ana"):
        do(held, requests.answer, row.request_id, answer="again")
    assert logged(held, "disclosure") == [("information.requested", "Example Chat")]


def test_a_transfer_is_a_disclosure_with_its_recipient(held: Store) -> None:
    given = {"recipient": "POLIT desk", "reason_code": "suspect_lives_there"}
    with pytest.raises(UsageError, match="our own force"):
        do(held, transfers.transfer, "42", **given)
    with pytest.raises(UsageError, match="needs the force"):
        do(held, transfers.transfer, "13", **{**given, "recipient": ""})
    with pytest.raises(UsageError, match="no force's code"):
        do(held, transfers.transfer, "nowhere", **given)
    settle(held)
    with pytest.raises(ConflictError, match="waits for no other force"):
        do(held, transfers.accept, accepted_by="POLIT desk")
    due = case(held).due_at
    do(held, transfers.transfer, "13", note="By secure mail", **given)
    assert (case(held).state, case(held).is_open, case(held).holder) == ("awaiting_acceptance", True, "ana")
    told = ("notification.made", "LADO office")
    assert case(held).due_at == due and logged(held, "disclosure") == [told]
    do(held, transfers.take_back, note="[synthetic]")
    assert (case(held).state, case(held).holder) == ("allocated", "ana")
    do(held, transfers.transfer, "13", **given)
    with pytest.raises(UsageError, match="Who took the case"):
        do(held, transfers.accept, accepted_by=" ")
    do(held, transfers.accept, accepted_by="POLIT desk")
    assert (case(held).state, case(held).is_open, case(held).holder) == ("transferred", False, None)
    assert logged(held, "disclosure") == [told, ("case.transferred", "force 13: POLIT desk")]


@pytest.mark.parametrize("way", ["close", "transfer"])
def test_a_case_does_not_leave_while_a_duty_is_open(held: Store, way: str) -> None:
    leave = {
        "close": lambda: do(held, decisions.decide, "close", reason_code="enquiry_complete", outcome="no_offence"),
        "transfer": lambda: do(
            held, transfers.transfer, "13", recipient="POLIT desk", reason_code="suspect_lives_there"
        ),
    }[way]
    with pytest.raises(ConflictError, match=r"cannot leave yet\. LADO: not notified yet"):
        leave()
    settle(held)
    leave()
    assert case(held).state == {"close": "closed", "transfer": "awaiting_acceptance"}[way]


def logged(store: Store, category: str) -> list[tuple[str, str | None]]:
    with store.reader() as session:
        query = select(AuditEntry.action, AuditEntry.recipient).where(AuditEntry.category == category)
        return [(action, recipient) for action, recipient in session.execute(query)]


@pytest.mark.parametrize(("level", "asks"), [("very_high", False), ("high", False), ("medium", True), ("low", True)])
def test_a_kirat_level_that_contradicts_asks_for_a_second_look(held: Store, level: str, asks: bool) -> None:
    entry = {"tool_version": "2", "assessor": "DC Sample", "assessed_on": date(2026, 3, 2)}
    do(held, kirat.enter, level=level, **entry)
    band = "very_high" if level == "very_high" else "high"
    assert (case(held).kirat_level, case(held).band, case(held).second_look) == (level, band, asks)
    with held.reader() as session:
        waiting = supervision.second_looks(session, SUPERVISOR)
    assert len(waiting) == asks
    if asks:
        row = waiting[0][0]
        do(held, second_looks.resolve, row.second_look_id, reason_code="agreed", actor=SUPERVISOR)
        assert case(held).second_look is False
        with pytest.raises(ConflictError, match="sue has looked"):
            do(held, second_looks.resolve, row.second_look_id, reason_code="agreed", actor=SUPERVISOR)


def test_a_kirat_level_raises_the_band_and_the_target_at_once_and_never_lowers(held: Store) -> None:
    entry = {"tool_version": "2", "assessor": "DC Sample", "assessed_on": date(2026, 3, 2)}
    before = case(held)
    do(held, kirat.enter, level="medium", **entry)
    assert (case(held).band, case(held).due_at) == ("high", before.due_at)
    do(held, kirat.enter, level="very_high", **entry)
    after = case(held)
    assert (after.band, after.person_band, after.model_band) == ("very_high", "very_high", "high")
    assert after.due_at == after.clock_start + timedelta(hours=24)
    with held.reader() as session:
        decision = session.scalars(select(Decision).where(Decision.kind == "raise_band")).one()
    assert (decision.reason_code, decision.band_before, decision.band_after) == ("kirat_higher", "high", "very_high")


def test_kirat_entries_are_checked(held: Store) -> None:
    entry = {"level": "high", "tool_version": "2", "assessor": "DC Sample", "assessed_on": date(2026, 3, 2)}
    for over, words in (
        ({"level": "extreme"}, "not a band"),
        ({"assessor": " "}, "version and the assessor"),
        ({"assessed_on": date(2027, 1, 1)}, "in the future"),
    ):
        with pytest.raises(UsageError, match=words):
            do(held, kirat.enter, **{**entry, **over})


def test_a_second_look_needs_a_second_person(held: Store) -> None:
    entry = {"tool_version": "2", "assessor": "DC Sample", "assessed_on": date(2026, 3, 2)}
    do(held, kirat.enter, level="low", actor=SUPERVISOR, **entry)
    with pytest.raises(ConflictError, match="second person"):
        do(held, second_looks.resolve, 1, reason_code="agreed", actor=SUPERVISOR)
    with pytest.raises(UsageError, match="no second look 9"):
        do(held, second_looks.resolve, 9, reason_code="agreed", actor=SUPERVISOR)


def test_notifications_are_made_or_explained(held: Store) -> None:
    with held.reader() as session:
        assert [n.kind for n, _ in supervision.notifications(session, SUPERVISOR)] == ["lado"]
    with pytest.raises(UsageError, match="Who was told"):
        do(held, notifications.settle, 1, reason_code="made")
    with pytest.raises(UsageError, match="note is needed"):
        do(held, notifications.settle, 1, reason_code="not_needed")
    do(held, notifications.settle, 1, reason_code="made", recipient="LADO of Sampleshire")
    with pytest.raises(ConflictError, match="settled"):
        do(held, notifications.settle, 1, reason_code="made", recipient="x")
    assert logged(held, "disclosure") == [("notification.made", "LADO of Sampleshire")]


def test_a_notification_says_who_was_told_in_which_post_by_whom_and_when(held: Store, clock: Clock) -> None:
    at = clock() - timedelta(hours=2)
    for wrong, said in (
        ({"told_at": clock() + timedelta(minutes=1)}, "future"),
        ({"told_at": at.replace(tzinfo=None)}, "time zone"),
        ({"told_by": "x" * 201}, "200 characters"),
        ({"post": "x" * 201}, "200 characters"),
    ):
        with pytest.raises(UsageError, match=said):
            do(held, notifications.settle, 1, reason_code="made", recipient="Lee Sample", **wrong)
    told = {"recipient": "Lee Sample", "post": "LADO", "told_by": "Ted Example", "told_at": at}
    do(held, notifications.settle, 1, reason_code="made", **told)
    with held.reader() as session:
        row = session.get_one(Notification, 1)
        assert (row.recipient, row.post, row.told_by, row.told_at) == tuple(told.values())
        assert (row.made_by, row.made_at) == ("ana", clock())
        changes = session.scalars(select(Change.text).where(Change.kind == "notification")).all()
        assert "Lee Sample (LADO) was told by Ted Example on 2 Mar 2026, 07:00" in changes[-1]


def test_who_was_told_by_default_is_told_by_the_writer_now_in_the_post_that_is_named(held: Store, clock: Clock) -> None:
    do(held, notifications.settle, 1, reason_code="made", recipient="Lee Sample")
    with held.reader() as session:
        row = session.get_one(Notification, 1)
        assert (row.post, row.told_by, row.told_at) == (row.label, ANALYST.name, clock())


def test_reviews_fall_due_at_three_five_and_six_months(held: Store, clock: Clock) -> None:
    with held.reader() as session:
        assert supervision.reviews_due(session, SUPERVISOR) == []
    ranks = []
    for days, expected in ((92, {"DI"}), (61, {"DCI"}), (31, {"Supt"})):
        clock.forward(days=days)
        with held.reader() as session:
            due = [r for r, c in supervision.reviews_due(session, SUPERVISOR, within_days=0) if c.case_id == ONE]
            assert supervision.reviews_due(session, SUPERVISOR, within_days=0, rank="PC") == []
        assert {r.rank for r in due} == expected
        ranks += [r.rank for r in due]
        do(held, supervision.complete_review, due[0].review_id, reason_code="on_track", actor=SUPERVISOR)
        with pytest.raises(ConflictError, match="done this review"):
            do(held, supervision.complete_review, due[0].review_id, reason_code="on_track", actor=SUPERVISOR)
    assert ranks == ["DI", "DCI", "Supt"]
    with held.reader() as session:
        query = select(Review).where(Review.case_id == ONE, Review.done_at.is_(None))
        following = session.scalars(query).one()
    assert (following.rank, following.due_at.month) == ("Supt", 12)


def test_overdue_cases_are_listed_longest_first(held: Store, clock: Clock) -> None:
    clock.forward(days=8)
    with held.reader() as session:
        overdue = supervision.overdue(session, SUPERVISOR)
        assert {c.case_id for c in overdue} == {ONE, case_of(2)}, (
            "they are a group: the earliest target applies to both"
        )
        clock.forward(days=8)
        assert [c.case_id for c in supervision.overdue(session, AUDITOR)] == [ONE, case_of(2)]
        with pytest.raises(PermissionDeniedError):
            supervision.overdue(session, ANALYST)


def test_retention_is_decided_and_recorded(held: Store, clock: Clock) -> None:
    with pytest.raises(ConflictError, match="is open"):
        do(held, retention.retain, reason_code="statutory", actor=SUPERVISOR)
    with pytest.raises(ConflictError, match="is open"):
        do(held, retention.erase, reason_code="period_over", actor=SUPERVISOR)
    close(held)
    with held.reader() as session:
        assert retention.due(session, SUPERVISOR) == []
    clock.forward(days=6 * 366)
    with held.reader() as session:
        assert [c.case_id for c in retention.due(session, SUPERVISOR)] == [ONE]
    row = do(held, retention.retain, reason_code="risk_remains", actor=SUPERVISOR)
    assert row.next_review_at.year == clock.at.year + 5
    with held.reader() as session:
        assert retention.due(session, SUPERVISOR) == []
        assert session.scalars(select(Decision.kind).order_by(Decision.decision_id.desc())).first() == "retain"


def test_erasure_leaves_a_tombstone_and_nothing_else(held: Store, clock: Clock) -> None:
    with held.session() as session:
        view.read(session, ANALYST, ONE)
        session.add(Note(case_id=ONE, at=clock.at, by="ana", text="secret words"))
    do(held, requests.ask, asked_of="x", text="y", reason_code="missing_files")
    close(held)
    stone = do(held, retention.erase, reason_code="court_order", actor=SUPERVISOR)
    assert (stone.erased_by, stone.reason_code) == ("sue", "court_order")
    with held.reader() as session:
        for table in Base.metadata.sorted_tables:
            if table.name not in ("audit", "tombstones") and "case_id" in table.c:
                count = select(func.count()).select_from(table).where(table.c.case_id == ONE)
                assert session.scalar(count) == 0, table.name
        assert session.scalar(select(func.count()).select_from(tables.Link)) == 0
        assert session.get(Tombstone, ONE) is not None
    assert ("case.erased", None) in logged(held, "erasure")
    with pytest.raises(UsageError, match="no case"), held.session() as session:
        view.read(session, ANALYST, ONE)


def test_every_table_of_a_case_is_erased_with_it() -> None:
    with_case = {t.name for t in Base.metadata.sorted_tables if "case_id" in t.c}
    kept_by_triggers = {"waiting_flags"}
    others = with_case - {t.__tablename__ for t in retention.OF_A_CASE} - kept_by_triggers
    assert others == {"cases", "tombstones", "audit"}
