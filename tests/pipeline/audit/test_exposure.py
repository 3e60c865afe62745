"""Texts opened by person and day: one's own for oneself, everybody's for who looks after people, nothing restricted for others."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.audit import exposure
from pipeline.errors import PermissionDeniedError
from pipeline.settings import Settings
from pipeline.store import recording
from pipeline.store.actors import Actor
from pipeline.store.opening import Store, open_store
from tests.pipeline.cases.conftest import ANALYST, DMI, OTHER, SUPERVISOR, Clock
from tests.pipeline.cases.samples import assessment, case_of, publish_rows, referral_row


@pytest.fixture
def opened(tmp_path: Path) -> tuple[Store, Clock]:
    """Ana opened two texts on the first day and one on the next, of which one is in a restricted case; Bob opened one."""
    clock = Clock()
    store = open_store(Settings(home=tmp_path / "home"), clock)
    publish_rows(
        store,
        assessments=[assessment(1), assessment(2)],
        referrals=[referral_row(2, compartment="ucol", source="UCOL")],
    )
    for who, number in ((ANALYST, 1), (ANALYST, 1), (OTHER, 1)):
        record(store, who, number)
    clock.forward(days=1)
    record(store, ANALYST, 2)
    return store, clock


def record(store: Store, who: Actor, number: int) -> None:
    with store.session() as session:
        recording.record(session, who, "consultation", "text.opened", case_id=case_of(number), object_="chat")


def test_everybody_sees_their_own_by_day(opened: tuple[Store, Clock]) -> None:
    store, clock = opened
    with store.reader() as session:
        una = Actor("ana", "Ana", ANALYST.roles, frozenset({"ucol"}))
        assert [o.texts for o in exposure.own(session, una)] == [1, 2]
        assert [o.texts for o in exposure.own(session, OTHER)] == [1]
        with pytest.raises(PermissionDeniedError):
            exposure.own(session, DMI)
    clock.forward(days=exposure.DAYS)
    with store.reader() as session:
        assert exposure.own(session, OTHER) == []
    store.close()


def test_the_wellbeing_view_is_by_name_leaves_out_what_is_restricted_and_is_logged(opened: tuple[Store, Clock]) -> None:
    store, _ = opened
    plain = Actor("sam", "Sam", SUPERVISOR.roles)
    with store.session() as session:
        whole = [(o.user_id, o.texts) for o in exposure.of_everybody(session, SUPERVISOR)]
        seen = [(o.user_id, o.texts) for o in exposure.of_everybody(session, plain)]
        assert [entry.action for entry in recording.pending(session)] == ["wellbeing.read"] * 2
        with pytest.raises(PermissionDeniedError):
            exposure.of_everybody(session, ANALYST)
    assert whole == [("ana", 1), ("ana", 2), ("bob", 1)]
    assert seen == [("ana", 2), ("bob", 1)]
    store.close()
