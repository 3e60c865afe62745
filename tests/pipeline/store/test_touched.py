"""Triggers note every case and link that changes, whichever way it is changed, on both databases."""

from __future__ import annotations

import sqlalchemy as sa

from pipeline.cases.work import claims, safeguarding
from pipeline.export import reporting_state
from pipeline.store.opening import Store
from pipeline.store.tables import Case, Link, Review
from tests.pipeline.cases import samples
from tests.pipeline.cases.conftest import SUPERVISOR

ONE, TWO = samples.case_of(1), samples.case_of(2)


def noted(store: Store) -> set[tuple[str, str]]:
    """What is noted, which is then taken out."""
    with store.reader() as session:
        found = reporting_state.touched(session)
    with store.session() as session:
        reporting_state.settled(session, found)
    return set(found.values())


def test_what_is_published_and_what_people_do_is_noted(store: Store) -> None:
    rows = [samples.referral_row(n) for n in (1, 2)]
    samples.publish_rows(
        store, referrals=rows, assessments=[samples.assessment(1), samples.assessment(2)], links=[samples.link(1, 2)]
    )
    assert noted(store) == {("case", ONE), ("case", TWO), ("link", "L-1-2-email")}
    assert noted(store) == set()
    with store.session() as session:
        case = claims.claim(session, SUPERVISOR, ONE)
        safeguarding.enter(session, SUPERVISOR, ONE, 1, version=case.version)
    assert ("case", ONE) in noted(store)


def test_statements_over_many_rows_are_noted_row_by_row_and_what_changes_none_is_not(store: Store) -> None:
    rows = [samples.referral_row(n) for n in (1, 2)]
    samples.publish_rows(
        store, referrals=rows, assessments=[samples.assessment(1), samples.assessment(2)], links=[samples.link(1, 2)]
    )
    noted(store)
    for statement, found in (
        (sa.update(Case).values(provider="Synthetic"), {("case", ONE), ("case", TWO)}),
        (sa.update(Case).where(Case.case_id == "none").values(provider="x"), set()),
        (sa.delete(Review).where(Review.case_id == TWO), {("case", TWO)}),
        (sa.update(Link).values(compartment="ucol"), {("link", "L-1-2-email")}),
        (sa.delete(Link), {("link", "L-1-2-email")}),
        (sa.delete(Case).where(Case.case_id == ONE), {("case", ONE)}),
    ):
        with store.session() as session:
            session.execute(statement)
        assert noted(store) == found


def test_what_is_noted_meanwhile_is_not_taken_out(store: Store) -> None:
    samples.publish_rows(store, referrals=[samples.referral_row(1)], assessments=[samples.assessment(1)])
    with store.reader() as session:
        found = reporting_state.touched(session)
    with store.session() as session:
        session.execute(sa.update(Case).values(provider="Synthetic"))
    with store.session() as session:
        reporting_state.settled(session, found)
    assert noted(store) == {("case", ONE)}
