"""Notifications that a publish lists: one for each authority, never twice, and never again once made."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from pipeline.cases.work import claims, notifications
from pipeline.store.opening import Store
from pipeline.store.tables import Notification
from tests.pipeline.cases import samples
from tests.pipeline.cases.conftest import ANALYST


def due(kind: str = "childrens_services", **over: Any) -> dict[str, Any]:
    return {"kind": kind, "label": f"Tell {over.get('authority')}", "reason": "Sample.", "evidence": [], **over}


def publish(store: Store, *nights: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Publish one night after the other with these notifications; the rows that are then listed."""
    for number, listed in enumerate(nights):
        run = samples.night(number)
        row = samples.assessment(1, version=number + 1, at=run, score=30.0 + number, notifications=listed)
        samples.publish_rows(store, run, assessments=[row])
    with store.reader() as session:
        rows = session.scalars(select(Notification).order_by(Notification.notification_id)).all()
        return [(r.kind, r.place, r.authority, r.force_code) for r in rows]


KENT = due(place="child_home", authority="Kent", force_code="46")
ESSEX = due(place="suspect_home", authority="Essex", force_code="42")
UNKNOWN = due(place="child_home")


def test_each_authority_is_told_on_its_own(store: Store) -> None:
    found = publish(store, [KENT, ESSEX, due("lado", place="work", authority="Essex")], [KENT, ESSEX])
    assert found == [
        ("childrens_services", "child_home", "Kent", "46"),
        ("childrens_services", "suspect_home", "Essex", "42"),
        ("lado", "work", "Essex", None),
    ]


def test_an_authority_that_is_found_out_is_named_in_the_row_that_waits(store: Store) -> None:
    assert publish(store, [UNKNOWN], [KENT]) == [("childrens_services", "child_home", "Kent", "46")]


def test_an_unknown_authority_adds_nothing_to_a_known_one(store: Store) -> None:
    assert publish(store, [KENT], [UNKNOWN]) == [("childrens_services", "child_home", "Kent", "46")]


def test_another_authority_after_the_first_was_told_is_a_new_duty(store: Store) -> None:
    publish(store, [KENT])
    with store.session() as session:
        case = claims.claim(session, ANALYST, samples.case_of(1))
        row = session.scalars(select(Notification)).one()
        notifications.settle(
            session, ANALYST, case.case_id, row.notification_id, reason_code="made", recipient="A Person",
            version=case.version,
        )  # fmt: skip
    run = samples.night(1)
    rows = [samples.assessment(1, version=2, at=run, score=31.0, notifications=[KENT, ESSEX])]
    samples.publish_rows(store, run, assessments=rows)
    with store.reader() as session:
        found = session.scalars(select(Notification).order_by(Notification.notification_id)).all()
        assert [(r.authority, r.made_by) for r in found] == [("Kent", "ana"), ("Essex", None)]


def test_two_forces_in_whose_areas_children_live_are_told_both(store: Store) -> None:
    listed = [
        due("child_force", place="child_home", authority="Kent", force_code="46"),
        due("child_force", place="child_home", authority="Surrey", force_code="45"),
    ]
    assert [row[3] for row in publish(store, listed, listed)] == ["46", "45"]
