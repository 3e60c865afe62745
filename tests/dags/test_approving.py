"""The task at which a release waits in Airflow: it asks with the page of the difference, and keeps and logs the answer."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from hashsets.release import approving, publishing
from pipeline.approval import deciding
from pipeline.approval import stage as releasing
from pipeline.settings import Settings
from pipeline.store.opening import Store
from tests.pipeline.approval.conftest import deliver, store, strict
from tests.pipeline.approval.test_deciding import audited
from tests.pipeline.matching.synthetic_night import known, start

__all__ = ["store", "strict"]
pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("airflow_home")]


@pytest.fixture
def asked(strict: Settings, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What Airflow was asked to put to people; settings as the task loads them are the test's."""
    from airflow.providers.standard.operators import hitl

    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **words: seen.append(words))
    monkeypatch.setattr(Settings, "load", classmethod(lambda cls: strict))
    return seen


def context() -> Any:
    return {"task_instance": SimpleNamespace(id="11111111-1111-1111-1111-111111111111")}


def answer(option: str, reason: str = "") -> dict[str, Any]:
    return {
        "chosen_options": [option],
        "params_input": {"reason": reason},
        "responded_at": datetime(2026, 11, 21, tzinfo=UTC),
        "responded_by_user": {"id": "4", "name": "D. Mi"},
    }


def test_a_small_release_passes_at_once(strict: Settings, asked: list[dict[str, Any]]) -> None:
    from tasks.approving import approve

    deliver(strict, "second", [known(50)], "later")
    assert approve("later").execute(context()) is None
    assert asked == []


@pytest.mark.parametrize(("option", "state"), [("Approve", approving.APPROVED), ("Reject", approving.REFUSED)])
def test_a_large_one_waits_and_the_answer_is_kept(
    strict: Settings, store: Store, asked: list[dict[str, Any]], option: str, state: str
) -> None:
    from airflow.sdk.exceptions import TaskAwaitingInput

    from tasks.approving import approve

    deliver(strict, "second", [known(i) for i in range(50, 56)], "later")
    assert releasing.run(strict, start(strict, "later")).counts["waits"] == 1
    task = approve("later")
    with pytest.raises(TaskAwaitingInput):
        task.execute(context())
    (request,) = asked
    assert request["subject"] == "Publish known-hash release 2?" and "6 new media" in request["body"]
    assert request["options"] == ["Approve", "Reject"] and "reason" in request["params"]

    task.execute_complete({**context(), "ti": None, "task": task}, answer(option, "seen with the sender"))
    found = deciding.open_one(strict)
    assert found is not None and (found.state, found.person, found.name) == (state, "airflow:4", "D. Mi")
    (entry,) = audited(store)
    assert entry[1:] == ("airflow:4", "release 2", "seen with the sender")
    assert publishing.publish(strict) == (2 if state == approving.APPROVED else None)


def test_an_answer_after_the_command_published_changes_nothing(
    strict: Settings, store: Store, asked: list[dict[str, Any]]
) -> None:
    from tasks.approving import approve

    task = approve("later")
    task.execute_complete({**context(), "ti": None, "task": task}, answer("Approve"))
    assert audited(store) == []
