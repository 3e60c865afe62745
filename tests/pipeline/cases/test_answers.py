"""Answers to open questions: assessed at once and every night, never lost, never silencing a sender's yes."""

from __future__ import annotations

import json
import os
import pwd
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from pipeline.assess.evidence.case_file import case_id
from pipeline.cases.publishing import assessing
from pipeline.cases.publishing import stage as publishing
from pipeline.cases.views import case as view
from pipeline.cases.work import answers, claims, cli, requests
from pipeline.cases.work.answers import Given
from pipeline.errors import ConflictError, PermissionDeniedError, UsageError
from pipeline.lake import Lake
from pipeline.people import users
from pipeline.settings import Settings
from pipeline.store.actors import SYSTEM
from pipeline.store.opening import Store
from pipeline.store.people_tables import AuditEntry
from pipeline.store.tables import Assessment, Case, Lowering
from tests.pipeline.assess.builders import T0, commit, fact, referral, start
from tests.pipeline.cases.conftest import ANALYST, DMI, OTHER, Clock

CASE = case_id("R1")


@pytest.fixture(scope="module")
def assessed(tmp_path_factory: pytest.TempPathFactory, policy_folder: Path) -> Path:
    """A home in which a case, of which only that it exists is known, has been assessed. Only to be read."""
    settings = Settings(home=tmp_path_factory.mktemp("assessed") / "home", policy=policy_folder, force="42")
    commit(settings, "one", referrals=[referral("R1", narrative_count=1)])
    assessing.run(settings, start(settings, 1))
    return settings.home


@pytest.fixture
def nights(store: Store, clock: Clock, assessed: Path) -> Store:
    """That case in the store."""
    clock.at = T0 + timedelta(days=1, hours=9)
    others = shutil.ignore_patterns("cases.sqlite*")
    shutil.copytree(assessed, store.settings.home, ignore=others, dirs_exist_ok=True)
    publishing.publish(store, Lake(store.settings.lake_dir), start(store.settings, 1))
    return store


def night(store: Store, number: int) -> None:
    run = start(store.settings, number)
    assessing.run(store.settings, run)
    publishing.publish(store, Lake(store.settings.lake_dir), run)


def found(store: Store, name: str, value: str = "yes", **over: Any) -> Case:
    given: dict[str, Any] = {"source": "pnc", "found_on": date(2026, 11, 1)} | over
    with store.session() as session:
        actor = given.pop("actor", ANALYST)
        version = session.get_one(Case, CASE).version
        answers.record(session, actor, CASE, Given(name, value, **given), version=version)
    return case(store)


def case(store: Store) -> Case:
    with store.reader() as session:
        return session.get_one(Case, CASE)


def latest(store: Store) -> Assessment:
    with store.reader() as session:
        return session.get_one(Assessment, session.get_one(Case, CASE).assessment_id)


def test_a_yes_raises_the_band_at_once_with_reason_flag_target_history_and_audit(nights: Store) -> None:
    before = case(nights)
    assert (before.band, before.flagged) == ("low", False)
    after = found(nights, "live_offending", note="[synthetic note 1]", source="call")
    assert (after.band, after.flagged, after.due_at < before.due_at) == ("very_high", True, True)
    reason = next(r for r in latest(nights).reasons if r["feature"] == "live_offending")
    assert [(e["table"], e["note"]) for e in reason["evidence"]] == [("answers", "answered yes: call, 2026-11-01")]
    with nights.session() as session:
        seen = view.read(session, ANALYST, CASE)
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "answer.recorded")).one()
    assert [(a.fact, a.value, a.by, a.note) for a in seen.answers] == [
        ("live_offending", "yes", "ana", "[synthetic note 1]")
    ]
    assert any("Abuse is stated to be happening now. (Telephone call or visit" in c.text for c in seen.history)
    assert entry.user_id == "ana" and "live_offending" in entry.detail and "synthetic" not in entry.detail
    assert after.changed_by == "ana"


def test_the_night_comes_to_the_same_assessment_and_changes_nothing(nights: Store) -> None:
    after = found(nights, "lives_with_children")
    kept = latest(nights)
    night(nights, 2)
    again = case(nights)
    assert (again.version, again.assessment_id, again.score) == (after.version, kept.assessment_id, after.score)
    rows = Lake(nights.settings.lake_dir).read("assessments", ["version", "inputs_sha256"]).to_pylist()
    assert {r["version"]: r["inputs_sha256"] for r in rows}[2] == kept.inputs_sha256


def test_an_answer_given_while_the_night_runs_is_not_taken_back_by_it(nights: Store) -> None:
    commit(nights.settings, "two", facts=[fact("R1", "domestic_abuse")])
    run = start(nights.settings, 2)
    assessing.run(nights.settings, run)
    found(nights, "grooming")
    publishing.publish(nights, Lake(nights.settings.lake_dir), run)
    assert {"grooming", "domestic_abuse"} <= {r["feature"] for r in latest(nights).reasons}


def test_a_no_settles_a_question_and_never_silences_a_stated_yes(nights: Store) -> None:
    found(nights, "access_to_children", "no")
    assert "access_to_children" not in {u["feature"] for u in latest(nights).unknowns}
    commit(nights.settings, "two", facts=[fact("R1", "access_to_children")])
    night(nights, 2)
    reasons = {r["feature"]: r for r in latest(nights).reasons}
    assert reasons["access_to_children"]["value"] == "yes"
    assert {e["table"] for e in reasons["access_to_children"]["evidence"]} == {"facts"}


def test_a_later_answer_takes_the_place_of_an_earlier_one_and_the_lower_band_waits(nights: Store) -> None:
    first = latest(nights)
    found(nights, "live_offending")
    after = found(nights, "live_offending", "unknown", actor=OTHER)
    assert latest(nights).inputs_sha256 == first.inputs_sha256
    assert (after.band, after.model_band, after.lowering_pending) == ("very_high", "low", True)
    with nights.reader() as session:
        assert session.scalars(select(Lowering.to_band)).all() == ["low"]
        assert [(a.value, a.by) for a in answers.history(session, ANALYST, CASE)] == [
            ("yes", "ana"),
            ("unknown", "bob"),
        ]
    night(nights, 2)
    assert case(nights).version == after.version


def test_an_answered_request_becomes_facts_in_the_same_step(nights: Store) -> None:
    with nights.session() as session:
        version = claims.claim(session, ANALYST, CASE).version
        asked = requests.ask(
            session, ANALYST, CASE, asked_of="School", text="[synthetic question 1]", reason_code="clarify_risk",
            version=version,
        ).request_id  # fmt: skip
    facts = [
        Given("lives_with_children", "yes", "childrens_services", date(2026, 11, 1)),
        Given("domestic_abuse", "no", "childrens_services", date(2026, 11, 1)),
    ]
    with nights.session() as session:
        version = session.get_one(Case, CASE).version
        requests.answer(session, ANALYST, CASE, asked, answer="[synthetic answer 1]", version=version, facts=facts)
    assert case(nights).band == "medium" and case(nights).state == "allocated"
    with nights.reader() as session:
        assert {a.request_id for a in answers.history(session, ANALYST, CASE)} == {asked}


def test_questions_name_the_facts_that_settle_them_and_where_the_answers_lead(nights: Store) -> None:
    with nights.reader() as session:
        asked = {q.feature: q for q in answers.questions(session, ANALYST, CASE)}
    live = asked["live_offending"]
    assert (live.facts, live.band_if_no, live.band_if_yes) == (("live_offending",), "low", "very_high")
    assert live.flags_if_yes and asked["suspect_exposed"].facts[0] == "suspect_confronted"


@pytest.mark.parametrize(
    ("over", "error"),
    [
        ({"name": "no_such_fact"}, UsageError),
        ({"name": "unknown_files"}, UsageError),
        ({"name": "suspect_exposed"}, UsageError),
        ({"value": "perhaps"}, UsageError),
        ({"source": "gossip"}, UsageError),
        ({"found_on": date(2027, 1, 1)}, UsageError),
        ({"note": "x" * 20_000}, UsageError),
        ({"actor": DMI}, PermissionDeniedError),
    ],
)
def test_an_answer_that_cannot_be_is_refused_and_nothing_changes(
    nights: Store, over: dict[str, Any], error: type[Exception]
) -> None:
    before = case(nights).version
    with pytest.raises(error):
        found(nights, over.get("name", "grooming"), **{k: v for k, v in over.items() if k != "name"})
    assert case(nights).version == before


def test_an_answer_to_a_case_that_changed_since_is_refused(nights: Store) -> None:
    with pytest.raises(ConflictError), nights.session() as session:
        given = Given("grooming", "yes", "pnc", date(2026, 11, 1))
        answers.record(session, ANALYST, CASE, given, version=0)


def test_a_feature_of_one_fact_can_be_answered_by_its_own_name(nights: Store) -> None:
    found(nights, "infant_files")
    assert "infant_files" in {r["feature"] for r in latest(nights).reasons}


def test_an_assessment_of_an_older_version_is_answered_from_the_lake(nights: Store) -> None:
    with nights.session() as session:
        session.get_one(Assessment, session.get_one(Case, CASE).assessment_id).inputs = None
    assert found(nights, "live_offending").band == "very_high"


def test_the_command_line_lists_questions_and_answers_them(store: Store, clock: Clock) -> None:
    commit(store.settings, "one", referrals=[referral("R1")])
    night(store, 1)
    own = pwd.getpwuid(os.getuid()).pw_name
    with store.session() as session:
        users._add(session, SYSTEM, own, "Test Person", roles=["analyst"], password=None)

    def run(*words: str) -> list[dict[str, Any]]:
        result = CliRunner().invoke(cli.case, [*words, "--format", "json"], obj=store.settings)
        assert result.exit_code == 0, result.output
        rows: list[dict[str, Any]] = json.loads(result.stdout)
        return rows

    assert "live_offending" in {q["facts"] for q in run("questions", CASE)}
    version = str(case(store).version)
    words = ("live_offending", "yes", "--source", "call", "--on", "2026-03-01", "--version", version)
    [done] = run("answer", CASE, *words)
    assert (done["band_before"], done["band"], done["version"] > int(version)) == ("low", "very_high", True)
    [kept] = run("answers", CASE)
    assert (kept["fact"], kept["source"], kept["by"]) == ("live_offending", "call", own)
