"""Held counts: small ones always fresh, large ones as old as the page says, nobody sees another's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.cases.views.queue import QueueFilters, counts
from pipeline.console import counters
from pipeline.store.actors import Actor
from pipeline.store.tables import Case

ANA = Actor("ana", "Ana", frozenset({"analyst"}))
SUE = Actor("sue", "Sue", frozenset({"supervisor"}), frozenset({"ucol"}))
FILTERS = QueueFilters(holder="nobody")


@pytest.fixture
def store(app: Any) -> Any:
    return app.app.state.store


def count(store: Any, held: counters.Counters, actor: Actor = ANA, filters: QueueFilters = FILTERS) -> counters.Counted:
    with store.reader() as session:
        return held.count(session, actor, filters)


def hold_all(store: Any) -> None:
    with store.session() as session:
        session.execute(sa.update(Case).values(holder="ben", state="in_enquiry"))


def test_a_small_count_is_taken_anew_each_time(store: Any) -> None:
    held = counters.Counters()
    first = count(store, held)
    with store.reader() as session:
        assert first.counts == counts(session, ANA, FILTERS)
    assert first.counts["total"] > 0
    assert not first.earlier
    hold_all(store)
    assert count(store, held).counts["total"] == 0


def test_a_large_count_is_held_for_its_time_and_no_longer(store: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(counters, "LARGE", 1)
    held, moment = counters.Counters(), store.clock()
    monkeypatch.setattr(store, "clock", lambda: moment)
    first = count(store, held)
    hold_all(store)
    monkeypatch.setattr(store, "clock", lambda: moment + timedelta(seconds=counters.FRESH_SECONDS))
    again = count(store, held)
    assert (again.counts, again.at, again.earlier) == (first.counts, moment, True)
    monkeypatch.setattr(store, "clock", lambda: moment + timedelta(seconds=counters.FRESH_SECONDS, microseconds=1))
    assert count(store, held).counts["total"] == 0


def test_a_held_count_is_for_those_who_see_the_same_cases(store: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(counters, "LARGE", 1)
    held = counters.Counters()
    with store.session() as session:
        session.execute(sa.update(Case).values(holder="ana", state="in_enquiry"))
        first = sa.select(sa.func.min(Case.case_id)).scalar_subquery()
        session.execute(sa.update(Case).where(Case.case_id == first).values(compartment="ucol"))
    mine = QueueFilters(holder="me")
    seen = count(store, held, ANA, mine).counts["total"]
    assert seen > 0
    assert count(store, held, SUE, mine).counts["total"] == 0
    everybody = QueueFilters()
    with store.reader() as session:
        restricted = session.scalar(sa.select(sa.func.count()).where(Case.compartment.is_not(None), Case.is_open)) or 0
    assert restricted and count(store, held, SUE, everybody).counts["total"] == (
        count(store, held, ANA, everybody).counts["total"] + restricted
    )
