"""The task that waits for the turn understands what Airflow answers: members of its enumeration as well as words."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.night import turns
from pipeline.settings import Settings

pytestmark = pytest.mark.airflow


@pytest.mark.usefixtures("airflow_home")
@pytest.mark.parametrize(
    ("state", "may"), [("SUCCESS", True), ("RUNNING", False), ("QUEUED", False), ("FAILED", False)]
)
@pytest.mark.parametrize("as_word", [True, False])
def test_a_refresh_goes_on_only_after_a_night_that_succeeded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, may: bool, as_word: bool
) -> None:
    from airflow.sdk.api.datamodels._generated import DagRunState

    from tasks.turn import TakeTurn

    settings = Settings(home=tmp_path / "home")
    monkeypatch.setattr(Settings, "load", classmethod(lambda cls: settings))
    night = turns.Holder("night-1", turns.NIGHT, "scheduled__1")
    assert turns.take(settings, night, lambda _: "gone") is None
    answer: Any = DagRunState[state].value if as_word else DagRunState[state]
    context = {
        "dag_run": SimpleNamespace(dag_id="hashset_refresh", run_id="manual__2"),
        "ti": SimpleNamespace(get_dagrun_state=lambda dag, run: answer),
    }
    assert TakeTurn(task_id="take_turn", run="refresh-1").poke(context) is may
