"""One's own work: the next duty of each case, what is waited for, what came back, what others changed."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.cases.views import case as view
from pipeline.cases.views import mine as views
from pipeline.cases.work import bands, claims, decisions, requests
from pipeline.errors import PermissionDeniedError
from pipeline.store.opening import Store
from pipeline.store.tables import Case
from tests.pipeline.cases.conftest import ANALYST, DMI, OTHER, SUPERVISOR, Clock
from tests.pipeline.cases.samples import assessment, case_of, publish_rows

ONE, TWO, THREE = case_of(1), case_of(2), case_of(3)


@pytest.fixture
def held(sqlite_store: Store) -> Store:
    """Three cases; the analyst holds 1 (low, with a notification to make) and 2 (high), nobody holds 3."""
    lado = [{"kind": "lado", "label": "LADO", "reason": "Works with children"}]
    rows = [assessment(1, "low", notifications=lado), assessment(2, "high"), assessment(3)]
    publish_rows(sqlite_store, assessments=rows)
    with sqlite_store.session() as session:
        claims.claim(session, ANALYST, ONE)
        claims.claim(session, ANALYST, TWO)
    return sqlite_store


def mine(store: Store, actor: Any = ANALYST) -> views.Mine:
    with store.reader() as session:
        return views.mine(session, actor)


def do(store: Store, function: Any, number: str, *arguments: Any, actor: Any = ANALYST, **named: Any) -> Any:
    with store.session() as session:
        version = session.get_one(Case, number).version
        return function(session, actor, number, *arguments, version=version, **named)


def test_cases_stand_by_their_next_duty(held: Store) -> None:
    found = [(d.case_id, d.kind) for d in mine(held).duties]
    assert found == [(TWO, "target"), (ONE, "notification")]
    assert mine(held, OTHER).duties == []


def test_a_lapsed_claim_is_nobodys_duty(held: Store, clock: Clock) -> None:
    clock.forward(hours=13)
    assert mine(held).duties == []


def test_a_request_is_waited_for_and_its_answer_comes_back(held: Store) -> None:
    given = {"asked_of": "Example Chat", "text": "Port, please", "reason_code": "missing_times"}
    row = do(held, requests.ask, TWO, **given)
    assert [(w.case_id, w.kind, w.text) for w in mine(held).waiting] == [
        (TWO, "request", "An answer from Example Chat")
    ]
    do(held, requests.answer, TWO, row.request_id, answer="443", actor=SUPERVISOR)
    assert mine(held).waiting == []
    assert [(b.case_id, b.kind) for b in mine(held).back] == [(TWO, "answer")]
    assert mine(held, OTHER).back == []


def test_a_decided_proposal_and_a_reopened_case_come_back(held: Store, clock: Clock) -> None:
    do(held, bands.propose_lowering, TWO, "low", reason_code="wrong_person", note="[synthetic note]")
    assert [w.kind for w in mine(held).waiting] == ["lowering"]
    do(held, bands.refuse_lowering, TWO, reason_code="risk_remains", note="[synthetic note]", actor=SUPERVISOR)
    do(held, decisions.decide, TWO, "close", reason_code="enquiry_complete", outcome="no_offence")
    clock.forward(days=1)
    do(held, decisions.decide, TWO, "reopen", reason_code="new_information", actor=SUPERVISOR)
    assert [b.kind for b in mine(held).back] == ["reopened", "lowering"]
    assert mine(held).back[1].text == "Your lower band was refused by sue"
    clock.forward(days=views.BACK_DAYS + 1)
    assert mine(held).back == mine(held).waiting == []


def test_only_what_others_changed_since_the_last_look_is_told(held: Store) -> None:
    with held.session() as session:
        view.read(session, ANALYST, TWO)
    do(held, bands.raise_band, TWO, "very_high", reason_code="judgement", note="[synthetic note]")
    assert [c.case_id for c in mine(held).changed] == [ONE], "one's own work is no news; case 1 was never opened"
    do(held, bands.propose_lowering, TWO, "low", reason_code="wrong_person", note="[synthetic note]", actor=SUPERVISOR)
    newest = mine(held).changed[0]
    assert (newest.case_id, newest.texts, newest.count) == (
        TWO,
        ("Lowering to Low proposed: Identifiers belong to another person",),
        1,
    )


def test_who_works_on_no_case_has_no_such_page(held: Store) -> None:
    with pytest.raises(PermissionDeniedError):
        mine(held, DMI)
