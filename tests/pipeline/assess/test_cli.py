"""`triage assess` and `triage model`, run as a person runs them."""

from __future__ import annotations

import dataclasses
import json
import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from pipeline import logs
from pipeline.assess import cli, stage
from pipeline.assess.evidence.case_file import case_id
from pipeline.cases.publishing import stage as publish
from pipeline.errors import PermissionDeniedError, UsageError
from pipeline.people import users
from pipeline.settings import Settings
from pipeline.store.actors import SYSTEM
from pipeline.store.opening import open_store
from pipeline.store.people_tables import AuditEntry
from pipeline.store.tables import Case
from tests.pipeline.assess.builders import commit, fact, identifier, referral, start
from tests.pipeline.assess.links.test_lists import supply
from tests.pipeline.assess.models.test_shadow import other

Triage = Callable[..., Any]


def call(settings: Settings, *arguments: str) -> Result:
    logs.configure(dataclasses.replace(settings, log_level="ERROR"))
    group = cli.assess if arguments[0] == "assess" else cli.model
    return CliRunner().invoke(group, [*arguments[1:], "--format", "json"], obj=settings)


def rows(settings: Settings, *arguments: str) -> list[dict[str, Any]]:
    """The JSON rows of a command that succeeds."""
    result = call(settings, *arguments)
    if result.exception is not None:
        raise result.exception
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def account(settings: Settings, *roles: str, compartments: tuple[str, ...] = ()) -> None:
    """An account with the name of the machine account that runs the tests."""
    store = open_store(settings)
    with store.session() as session:
        name = pwd.getpwuid(os.getuid()).pw_name
        users._add(session, SYSTEM, name, "Test Person", roles=roles, compartments=compartments, password=None)
    store.close()


@pytest.fixture
def published(settings: Settings) -> Settings:
    """Three cases, one of them of UCOL, in the case store."""
    commit(
        settings,
        "a",
        referrals=[referral("R1"), referral("R2"), referral("R3", source="UCOL", compartment="ucol")],
        facts=[fact("R1", "grooming"), fact("R3", "live_offending")],
        identifiers=[identifier(r, "email", "a@b.example") for r in ("R1", "R3")],
    )
    stage.run(settings, start(settings))
    publish.run(settings, start(settings))
    return settings


def test_run_and_lists(settings: Settings) -> None:
    commit(settings, "a", referrals=[referral("R1")])
    counts = {r["what"]: r["count"] for r in rows(settings, "assess", "run", "--run", "night-1")}
    assert (counts["cases"], counts["new"]) == (1, 1)
    supply(settings, "positions_of_trust", "2026-11-01")
    supply(settings, "positions_of_trust", "2026-11-02")
    supply(settings, "positions_of_trust", "2026-11-03").with_suffix(".json").unlink()
    states = [(r["dated"], r["state"]) for r in rows(settings, "assess", "lists")]
    assert states == [
        ("2026-11-03", "waiting for the JSON file beside it"),
        ("2026-11-02", "in force"),
        ("2026-11-01", "superseded"),
    ]


def test_check_lists_promises_and_fails_when_one_is_broken(settings: Settings) -> None:
    assert all(r["kept"] for r in rows(settings, "model", "check"))
    broken = other(settings, known_files=90)
    result = call(broken, "model", "check", "--model", "candidate")
    assert isinstance(result.exception, UsageError) and "known_files" in result.stderr


def test_features_are_shown_with_weight_and_explanation(settings: Settings) -> None:
    listed = {r["feature"]: r for r in rows(settings, "model", "features")}
    assert listed["live_offending"]["weight"] == 400
    assert listed["live_offending"]["explanation"] == "Abuse is stated to be happening now."


def test_explain_shows_the_case_and_logs_the_look(published: Settings) -> None:
    account(published, "analyst")
    case = case_id("R1")
    result = call(published, "model", "explain", case, "--reason", "test")
    shown = json.loads(result.stdout)
    assert shown[0] | {"text": ""} == {
        "what": "reason",
        "name": "grooming",
        "label": "Grooming",
        "adds": 35.0,
        "text": "",
        "evidence": "facts f-R1-grooming-yes-",
    }
    assert {r["what"] for r in shown} == {"reason", "not known", "question", "flag", "notify"}
    asked = {r["name"]: r["text"] for r in shown if r["what"] == "question"}
    assert asked["contact_offer"] == "if yes: Very high and raise: Live contact with a child; if no: High"
    assert f"{case}: High" in result.stderr and "left out" in result.stderr
    with open_store(published).reader() as session:
        entries = session.scalars(select(AuditEntry).where(AuditEntry.case_id == case)).all()
    assert [(e.category, e.action, e.reason) for e in entries if e.action == "model.explain"] == [
        ("consultation", "model.explain", "test")
    ]


def test_links_to_a_compartment_are_left_out_for_who_may_not_see_it(published: Settings) -> None:
    account(published, "analyst")
    assert "linked_cases" not in {
        r["name"] for r in rows(published, "model", "explain", case_id("R1"), "--reason", "x")
    }
    with pytest.raises(UsageError):
        rows(published, "model", "explain", case_id("R3"), "--reason", "x")


def test_with_the_compartment_the_whole_case_is_explained(published: Settings) -> None:
    account(published, "analyst", compartments=("ucol",))
    assert "linked_cases" in {r["name"] for r in rows(published, "model", "explain", case_id("R1"), "--reason", "x")}
    assert "same inputs" in call(published, "model", "explain", case_id("R3"), "--reason", "x").stderr


def test_nobody_without_an_account_gets_an_explanation(published: Settings) -> None:
    with pytest.raises(PermissionDeniedError):
        rows(published, "model", "explain", case_id("R1"), "--reason", "x")


def test_shadow_lists_moves_and_hides_compartments(published: Settings) -> None:
    account(published, "supervisor")
    changed = other(published, grooming=80, live_offending=60)
    result = call(changed, "model", "shadow", "--model", "candidate")
    assert {r["case_id"] for r in json.loads(result.stdout)} == {case_id("R1")}
    assert "3 cases: 1 would be raised" in result.stderr and "1 are restricted" in result.stderr


def test_reports_on_models_need_the_role(published: Settings) -> None:
    account(published, "analyst")
    for arguments in (("shadow", "--model", "risk-model"), ("replay",)):
        with pytest.raises(PermissionDeniedError):
            rows(published, "model", *arguments)


def test_replay_over_a_file_and_over_the_store(published: Settings, tmp_path: Path) -> None:
    account(published, "supervisor", compartments=("ucol",))
    path = tmp_path / "decisions.csv"
    path.write_text(f"case_id,acted\n{case_id('R1')},yes\n{case_id('R2')},no\n")
    bands = rows(published, "model", "replay", "--decisions", str(path))
    assert [(r["band"], r["cases"], r["recall"]) for r in bands] == [
        ("very_high", 0, 0.0),
        ("high", 1, 1.0),
        ("medium", 0, 1.0),
        ("low", 1, 1.0),
    ]
    with pytest.raises(UsageError, match="no decided cases"):
        rows(published, "model", "replay")
    store = open_store(published)
    with store.session() as session:
        for case, outcome in ((case_id("R3"), "child_safeguarded"), (case_id("R2"), "no_offence")):
            row = session.get_one(Case, case)
            row.state, row.outcome, row.closed_at = "closed", outcome, row.clock_start
    store.close()
    budgets = rows(published, "model", "replay", "--by", "budget", "--budget", "1")
    assert [(r["budget"], r["acted"], r["recall"]) for r in budgets] == [(1, 1, 1.0)]
