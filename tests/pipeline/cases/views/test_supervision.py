"""The supervisor's work lists: their lengths, and what each person holds."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from pipeline.cases.duties import escalations
from pipeline.cases.views import supervision
from pipeline.cases.work import claims
from pipeline.errors import PermissionDeniedError
from pipeline.store.opening import Store
from pipeline.store.tables import Case
from tests.pipeline.cases.conftest import ANALYST, SUPERVISOR, UCOL, Clock, add_people
from tests.pipeline.cases.samples import assessment, case_of, publish_rows, referral_row


@pytest.fixture
def full(sqlite_store: Store, clock: Clock) -> Store:
    """Four cases, the last one restricted; two notifications; everything but the low case past its target."""
    add_people(sqlite_store)
    lado = [{"kind": "lado", "label": "LADO", "reason": "Works with children"}]
    rows = [
        assessment(1, "very_high", notifications=lado),
        assessment(2, "high", notifications=lado),
        assessment(3, "low"),
        assessment(4, "high"),
    ]
    hidden = referral_row(4, compartment="ucol", source="UCOL")
    publish_rows(sqlite_store, assessments=rows, referrals=[hidden])
    with sqlite_store.session() as session:
        for number in (1, 2):
            claims.claim(session, ANALYST, case_of(number))
        claims.claim(session, UCOL, case_of(4))
    clock.forward(hours=2)
    return sqlite_store


def test_each_count_is_the_length_of_its_list_for_everybody_who_reads_it(full: Store, clock: Clock) -> None:
    clock.forward(days=10)
    plain = type(SUPERVISOR)("sam", "Sam", SUPERVISOR.roles)
    for who in (SUPERVISOR, plain):
        with full.reader() as session:
            counts = supervision.counts(session, who)
            assert counts == {
                "flags": len(escalations.open_flags(session, who)),
                "past_target": len(supervision.overdue(session, who)),
                "notifications": len(supervision.notifications(session, who)),
                "lowerings": len(supervision.lowerings(session, who)),
                "second_looks": len(supervision.second_looks(session, who)),
                "reviews": len(supervision.reviews_due(session, who)),
            }
    assert counts["notifications"] == 2 and counts["past_target"] > 0


def test_the_load_of_a_person_is_what_they_hold_and_the_reader_may_see(full: Store, clock: Clock) -> None:
    with full.reader() as session:
        loads = {load.user_id: load for load in supervision.loads(session, SUPERVISOR)}
        plain = type(SUPERVISOR)("sam", "Sam", SUPERVISOR.roles)
        seen = {load.user_id: load.cases for load in supervision.loads(session, plain)}
    assert (loads["ana"].cases, loads["ana"].very_high, loads["bob"].cases, loads["una"].cases) == (2, 1, 0, 1)
    assert seen["una"] == 0, "a restricted case does not show in a number either"
    assert {"dan", "aud", "adm"}.isdisjoint(loads)
    clock.forward(hours=13)
    with full.reader() as session:
        assert {load.cases for load in supervision.loads(session, SUPERVISOR)} == {0}, "lapsed claims bind nobody"


def test_loads_are_for_who_allocates(full: Store) -> None:
    with full.reader() as session, pytest.raises(PermissionDeniedError):
        supervision.loads(session, ANALYST)


def test_late_cases_stand_and_are_counted_by_their_own_band_not_by_their_groups(full: Store, clock: Clock) -> None:
    clock.forward(days=40)
    with full.session() as session:  # as a group with the very high case would place the low one
        session.execute(sa.update(Case).where(Case.case_id == case_of(3)).values(band_order=0))
    with full.reader() as session:
        assert [c.band for c in supervision.overdue(session, SUPERVISOR)] == ["very_high", "high", "high", "low"]
        figure = {f["band"]: f["cases"] for f in supervision.past_target(session, SUPERVISOR)}
    assert figure == {"very_high": 1, "high": 2, "medium": 0, "low": 1}


def test_a_person_is_offered_with_what_they_hold() -> None:
    assert supervision.Load("ana", "Ana Analyst", 1, 1, 0).words == "Ana Analyst: 1 case, 1 very high"
    assert supervision.Load("ben", "Ben Analyst", 12, 0, 3).words == "Ben Analyst: 12 cases, 3 past target"
