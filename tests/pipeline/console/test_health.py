"""/ready for probes, /health says what is wrong, /metrics for whoever has the token."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.console.app import create_app
from pipeline.settings import Settings
from pipeline.store.opening import open_store
from pipeline.watch import alarms
from pipeline.watch.alarms import Condition
from tests.pipeline.console.client import Client


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    token = tmp_path / "metrics-token"
    token.write_text("synthetic-token\n")
    return Settings(home=tmp_path, metrics_token_file=token)


def test_it_says_what_is_wrong_and_no_figures(settings: Settings) -> None:
    browser = Client(create_app(settings))
    assert browser.get("/ready").json() == {"status": "ok"}
    assert browser.get("/health").json()["wrong"] == []
    store = open_store(settings)
    alarms.raise_(store, Condition("night_late", "night_late:x", {"run": "night-2026-11-28"}))
    store.close()
    said = browser.get("/health").json()
    assert said["status"] == "needs a person" and [w["kind"] for w in said["wrong"]] == ["night_late"]
    assert "night-2026" not in str(said)
    assert browser.get("/ready").status_code == 200
    browser.close()


def test_measures_need_the_token(settings: Settings) -> None:
    browser = Client(create_app(settings))
    assert browser.get("/metrics", headers={"accept": "*/*"}).status_code == 401
    assert browser.get("/metrics", headers={"authorization": "Bearer wrong"}).status_code == 401
    answer = browser.get("/metrics", headers={"authorization": "Bearer synthetic-token"})
    assert answer.status_code == 200 and 'triage_queue_cases{band="low"} 0.0' in answer.text
    browser.close()
    off = Client(create_app(replace(settings, metrics_token_file=None)))
    assert off.get("/metrics", headers={"authorization": "Bearer synthetic-token"}).status_code == 404
    off.close()
