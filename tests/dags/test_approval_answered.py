"""A release that waits, in a run of hashset_refresh: a person answers by Airflow's API, as its page does, and the run goes on."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from hashsets.release import approving, releases
from pipeline.approval import deciding
from pipeline.night import marks
from pipeline.settings import Settings
from tests.pipeline.approval.conftest import strict
from tests.pipeline.matching.synthetic_night import known, write_set

__all__ = ["strict"]
pytestmark = [
    pytest.mark.airflow,
    pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient` is deprecated"),
    pytest.mark.filterwarnings("ignore:No path_separator found in configuration:DeprecationWarning"),
]


class Person(threading.Thread):
    """Signs in to Airflow's API, waits until something is asked, reads the page and answers."""

    def __init__(self, client: Any, option: str) -> None:
        super().__init__(daemon=True)
        self.client, self.option = client, option
        self.read: dict[str, Any] = {}
        self.answered: Any = None

    def run(self) -> None:
        for _ in range(600):
            found = self.client.get(
                "/api/v2/dags/hashset_refresh/dagRuns/~/hitlDetails", params={"response_received": False}
            )
            if found.status_code == 200 and found.json()["hitl_details"]:
                break
            time.sleep(0.5)
        (self.read,) = found.json()["hitl_details"]
        asked = self.read["task_instance"]
        path = f"/api/v2/dags/hashset_refresh/dagRuns/{asked['dag_run_id']}/taskInstances/{asked['task_id']}/-1/hitlDetails"
        for _ in range(600):  # the question is there a moment before the task waits for it
            self.answered = self.client.patch(
                path, json={"chosen_options": [self.option], "params_input": {"reason": "seen with the sender"}}
            )
            if self.answered.status_code != 409:
                break
            time.sleep(0.5)


@pytest.fixture
def api(airflow_db: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv(
        "AIRFLOW__API_AUTH__JWT_SECRET", "a key for tests only, as long as the algorithm asks for: 64 bytes ....."
    )
    from airflow.api_fastapi.app import create_app
    from starlette.testclient import TestClient

    client = TestClient(create_app(apps="core"), base_url="http://localhost")
    passwords = json.loads((airflow_db / "airflow" / "simple_auth_manager_passwords.json.generated").read_text())
    signed_in = client.post("/auth/token", json={"username": "admin", "password": passwords["admin"]})
    client.headers["Authorization"] = f"Bearer {signed_in.json()['access_token']}"
    return client


def test_an_answer_by_the_api_publishes_and_a_refusal_does_not(
    strict: Settings, api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deploy.embedded import run_dag

    monkeypatch.setenv("TRIAGE_HOME", str(strict.home))
    monkeypatch.setenv("TRIAGE_POLICY", str(strict.policy))
    write_set(strict, "second", [known(i) for i in range(50, 56)])
    for run, option, current in (("refused", "Reject", 1), ("approved", "Approve", 2)):
        person = Person(api, option)
        person.start()
        assert run_dag("hashset_refresh", {"run_id": run}) == "success"
        person.join(30)
        assert person.answered.status_code == 200, person.answered.text
        assert "6 new media" in person.read["body"]
        now = releases.pointer(strict)
        assert now is not None and now.number == current
        if option == "Reject":
            found = deciding.open_one(strict)
            assert found is not None and found.state == approving.REFUSED and found.reason == "seen with the sender"
            assert marks.get(strict, marks.RELEASE_ANNOUNCED) == ""
    assert (
        marks.get(strict, marks.RELEASE_ANNOUNCED) == "2"
    )  # retro-matching was told: the watcher does not tell it again
