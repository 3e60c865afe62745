"""Escalation flags: each has a clock, a recipient and an acknowledgement, and stands until it has one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from sqlalchemy import delete, select, update

from pipeline.cases import cases
from pipeline.cases.duties import escalations
from pipeline.cases.duties.clocks import Clocks
from pipeline.cases.views import case as view
from pipeline.cases.work import claims, decisions
from pipeline.cli import triage
from pipeline.errors import ConflictError, PermissionDeniedError, SettingsError, UsageError
from pipeline.settings import Settings
from pipeline.store.duty_tables import Flag
from pipeline.store.opening import Store
from pipeline.store.people_tables import AuditEntry
from pipeline.store.tables import Case
from tests.pipeline.cases import samples
from tests.pipeline.cases.conftest import ANALYST, AUDITOR, DMI, OTHER, SUPERVISOR, UCOL, Clock


def flag(rule: str, *ids: str) -> dict[str, Any]:
    evidence = [{"table": "facts", "id": name, "note": "sample"} for name in ids or ("F-1",)]
    return {"rule": rule, "label": f"Flag {rule}", "reason": f"Because of {rule}.", "evidence": evidence}


def open_flags(store: Store, actor: Any = ANALYST) -> list[escalations.OpenFlag]:
    with store.reader() as session:
        return escalations.open_flags(session, actor)


def test_a_flag_of_any_band_gets_recipient_and_clock_from_the_policy(store: Store) -> None:
    rows = [
        samples.assessment(1, "low", flags=[flag("death")]),
        samples.assessment(2, "very_high", flags=[flag("immediate_risk")]),
        samples.assessment(3, "high"),
    ]
    samples.publish_rows(store, assessments=rows)
    found = open_flags(store)
    assert [(f.case_id, f.rule, f.role) for f in found] == [
        (samples.case_of(2), "immediate_risk", "Duty supervisor"),
        (samples.case_of(1), "death", "Detective Superintendent"),
    ]
    assert [f.due_at - f.raised_at for f in found] == [timedelta(minutes=15), timedelta(minutes=60)]
    assert all(f.raised_at == samples.night().as_of and f.late for f in found)
    assert found[1].post == "Head of Public Protection"


def test_the_gravest_band_comes_first_and_in_it_the_first_due(store: Store) -> None:
    rows = [
        samples.assessment(1, "low", flags=[flag("immediate_risk")]),
        samples.assessment(2, "very_high", flags=[flag("death"), flag("immediate_risk")]),
    ]
    samples.publish_rows(store, assessments=rows)
    found = [(f.case_id, f.rule) for f in open_flags(store)]
    second = samples.case_of(2)
    assert found == [(second, "immediate_risk"), (second, "death"), (samples.case_of(1), "immediate_risk")]


def test_the_strip_says_how_many_cases_go_to_whom(store: Store) -> None:
    rows = [samples.assessment(n, "low", flags=[flag("death"), flag("media")]) for n in (1, 2)]
    rows.append(samples.assessment(3, "low", flags=[flag("police")]))
    samples.publish_rows(store, assessments=rows)
    with store.reader() as session:
        lines = escalations.strip(session, ANALYST)
        first = escalations.open_flags(session, ANALYST, limit=2)
    flags = open_flags(store)
    assert first == flags[:2]
    assert [(line.role, line.post) for line in lines] == list(
        dict.fromkeys((f.role, f.post) for f in sorted(flags, key=lambda f: f.due_at))
    )
    for line in lines:
        own = [f for f in flags if (f.role, f.post) == (line.role, line.post)]
        assert (line.flags, line.cases) == (len(own), len({f.case_id for f in own}))
        assert (line.late, line.first_due) == (len({f.case_id for f in own if f.late}), min(f.due_at for f in own))
    assert {line.text for line in lines} == {
        "2 cases to be brought to the Detective Superintendent now",
        "1 case to be brought to the Head of Professional Standards now",
    }
    assert [line.late for line in lines if line.cases == 2] == [2]


def test_told_to_by_and_when_are_stored_logged_and_told(store: Store, clock: Clock) -> None:
    samples.publish_rows(store, assessments=[samples.assessment(1, "low", flags=[flag("death")])])
    (waiting,) = open_flags(store)
    told_at = clock.at - timedelta(minutes=20)
    with store.session() as session:
        escalations.acknowledge(
            session, ANALYST, waiting.case_id, waiting.flag_id,
            told_to="Det Supt Sample", told_by="Sgt Example", told_at=told_at, note="By telephone.",
        )  # fmt: skip
    assert open_flags(store) == []
    with store.reader() as session:
        row = session.get_one(Flag, waiting.flag_id)
        assert (row.told_to, row.told_by, row.told_at, row.note) == (
            "Det Supt Sample", "Sgt Example", told_at, "By telephone.",
        )  # fmt: skip
        assert (row.acknowledged_by, row.acknowledged_at, row.waiting) == ("ana", clock.at, False)
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "flag.acknowledged")).one()
        assert (entry.user_id, entry.recipient, entry.object, entry.category) == (
            "ana", "Det Supt Sample", "flag:death", "disclosure",
        )  # fmt: skip
        assert session.get_one(Case, waiting.case_id).unacknowledged is False
    with store.session() as session:
        seen = view.read(session, ANALYST, waiting.case_id, "test")
        assert any("Det Supt Sample was told by Sgt Example" in change.text for change in seen.history)
        assert [f.rule for f in seen.escalations] == ["death"]


def test_the_queue_is_told_which_cases_wait(store: Store) -> None:
    rows = [samples.assessment(1, "low", flags=[flag("death"), flag("media")]), samples.assessment(2, "low")]
    samples.publish_rows(store, assessments=rows)

    def waiting() -> list[bool]:
        with store.reader() as session:
            return [session.get_one(Case, samples.case_of(n)).unacknowledged for n in (1, 2)]

    assert waiting() == [True, False]
    for waits in open_flags(store):
        assert waiting() == [True, False]
        with store.session() as session:
            escalations.acknowledge(session, ANALYST, waits.case_id, waits.flag_id, told_to="A Person")
    assert waiting() == [False, False]


def test_a_flag_that_is_no_longer_raised_still_waits(store: Store) -> None:
    samples.publish_rows(store, assessments=[samples.assessment(1, "low", flags=[flag("death")])])
    second = samples.night(1)
    samples.publish_rows(store, second, assessments=[samples.assessment(1, "low", version=2, at=second, score=6.0)])
    (waiting,) = open_flags(store)
    assert waiting.gone
    with store.reader() as session:
        assert session.get_one(Case, waiting.case_id).unacknowledged is True


def test_a_flag_that_comes_again_after_it_was_gone_is_a_new_one(store: Store) -> None:
    samples.publish_rows(store, assessments=[samples.assessment(1, "low", flags=[flag("death")])])
    (first,) = open_flags(store)
    with store.session() as session:
        escalations.acknowledge(session, ANALYST, first.case_id, first.flag_id, told_to="A Person")
    for number, flags in ((1, [flag("death")]), (2, []), (3, [flag("death")])):
        run = samples.night(number)
        row = samples.assessment(1, "low", version=number + 1, at=run, score=5.0 + number, flags=flags)
        samples.publish_rows(store, run, assessments=[row])
        assert [f.raised_at for f in open_flags(store)] == ([run.as_of] if number == 3 else [])


def test_publishing_the_same_again_raises_nothing_twice(store: Store) -> None:
    lake = samples.commit(store, samples.night(), assessments=[samples.assessment(1, "low", flags=[flag("death")])])
    for _ in range(2):
        samples.publish(store, lake, samples.night())
    assert len(open_flags(store)) == 1


def test_a_case_does_not_close_before_its_flag_is_acknowledged_and_a_closed_one_keeps_its_flags(store: Store) -> None:
    samples.publish_rows(store, assessments=[samples.assessment(1, "low", flags=[flag("death")])])
    with store.session() as session:
        case = claims.claim(session, ANALYST, samples.case_of(1))
    with pytest.raises(ConflictError, match="nobody is recorded as told"), store.session() as session:
        decisions.decide(
            session, ANALYST, case.case_id, "close", reason_code="not_an_offence", outcome="no_offence",
            version=case.version,
        )  # fmt: skip
    with store.session() as session:  # as it was closed before flags held a case back
        session.execute(update(Case).where(Case.case_id == case.case_id).values(state="closed", is_open=False))
    (waiting,) = open_flags(store)
    assert waiting.state == "closed"


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"told_to": " "}, UsageError, "Who was told"),
        ({"told_to": "A", "told_at": samples.START + timedelta(days=9)}, UsageError, "future"),
        ({"told_to": "A", "told_at": samples.START.replace(tzinfo=None)}, UsageError, "time zone"),
        ({"told_to": "A" * 201}, UsageError, "200 characters"),
        ({"told_to": "A", "version": 99}, ConflictError, "was changed"),
    ],
)
def test_what_cannot_be_recorded_is_refused(
    store: Store, given: dict[str, Any], error: type[Exception], words: str
) -> None:
    samples.publish_rows(store, assessments=[samples.assessment(1, "low", flags=[flag("death")])])
    (waiting,) = open_flags(store)
    with pytest.raises(error, match=words), store.session() as session:
        escalations.acknowledge(session, ANALYST, waiting.case_id, waiting.flag_id, **given)
    assert len(open_flags(store)) == 1


def test_two_people_cannot_acknowledge_one_flag(store: Store) -> None:
    samples.publish_rows(store, assessments=[samples.assessment(1, "low", flags=[flag("death")])])
    (waiting,) = open_flags(store)
    with store.session() as session:
        escalations.acknowledge(session, ANALYST, waiting.case_id, waiting.flag_id, told_to="Person One")
    with pytest.raises(ConflictError, match="Person One"), store.session() as session:
        escalations.acknowledge(session, OTHER, waiting.case_id, waiting.flag_id, told_to="Person Two")


def test_a_flag_belongs_to_its_case(store: Store) -> None:
    rows = [samples.assessment(1, "low", flags=[flag("death")]), samples.assessment(2, "low")]
    samples.publish_rows(store, assessments=rows)
    (waiting,) = open_flags(store)
    with pytest.raises(UsageError, match="has no flag"), store.session() as session:
        escalations.acknowledge(session, ANALYST, samples.case_of(2), waiting.flag_id, told_to="A Person")


@pytest.mark.parametrize("actor", [DMI, AUDITOR])
def test_only_those_who_work_on_cases_acknowledge(store: Store, actor: Any) -> None:
    samples.publish_rows(store, assessments=[samples.assessment(1, "low", flags=[flag("death")])])
    (waiting,) = open_flags(store, actor)
    with pytest.raises(PermissionDeniedError), store.session() as session:
        escalations.acknowledge(session, actor, waiting.case_id, waiting.flag_id, told_to="A Person")


def test_flags_of_a_restricted_case_are_not_there_for_others(store: Store) -> None:
    row = samples.assessment(1, "high", flags=[flag("death")], summary={"compartment": "ucol", "source": "UCOL"})
    samples.publish_rows(store, assessments=[row], referrals=[samples.referral_row(1, compartment="ucol")])
    assert open_flags(store, ANALYST) == []
    assert [f.rule for f in open_flags(store, UCOL)] == ["death"]
    with pytest.raises(UsageError, match="There is no case"), store.session() as session:
        escalations.acknowledge(session, ANALYST, samples.case_of(1), 1, told_to="A Person")


def test_a_flag_that_rests_on_a_restricted_referral_moves_nothing_for_others(store: Store) -> None:
    hidden = samples.referral(2)
    rows = [
        samples.assessment(1, "low", flags=[flag("deconfliction", hidden)]),
        samples.assessment(2, "high", summary={"compartment": "ucol", "source": "UCOL"}),
    ]
    referrals = [samples.referral_row(1), samples.referral_row(2, compartment="ucol")]
    samples.publish_rows(store, assessments=rows, referrals=referrals)
    assert open_flags(store, ANALYST) == []
    assert [f.case_id for f in open_flags(store, SUPERVISOR)] == [samples.case_of(1)]
    with store.reader() as session:
        case = cases.find(session, ANALYST, samples.case_of(1), "case.read")
        assert (case.flagged, case.unacknowledged) == (False, False)


def test_a_joined_case_hands_its_flags_on(store: Store) -> None:
    samples.publish_rows(store, assessments=[samples.assessment(2, "low", flags=[flag("death"), flag("media")])])
    second = samples.night(1)
    joined = samples.assessment(
        1, "low", at=second, flags=[flag("media")], referrals=[samples.referral(1), samples.referral(2)],
        summary={"joined_cases": [samples.case_of(2)]},
    )  # fmt: skip
    samples.publish_rows(store, second, assessments=[joined])
    assert {(f.case_id, f.rule) for f in open_flags(store)} == {
        (samples.case_of(1), "death"),
        (samples.case_of(1), "media"),
    }


def test_cases_of_an_older_store_get_their_flags_with_the_first_publish(store: Store) -> None:
    samples.publish_rows(store, assessments=[samples.assessment(1, "low", flags=[flag("death")])])
    with store.session() as session:
        session.execute(delete(Flag))
        session.get_one(Case, samples.case_of(1)).unacknowledged = False
    second = samples.night(1)
    samples.publish_rows(store, second, assessments=[samples.assessment(2, "low", at=second)])
    (waiting,) = open_flags(store)
    assert (waiting.rule, waiting.raised_at) == ("death", second.as_of)
    with store.reader() as session:
        assert session.get_one(Case, samples.case_of(1)).unacknowledged is True


def test_every_rule_of_the_risk_model_has_a_recipient_and_a_clock(sqlite_store: Store) -> None:
    clocks = Clocks.load(sqlite_store.settings)
    text = (Path(sqlite_store.settings.policy) / "risk-model.yaml").read_text()
    assert set(clocks.rules) == {rule["id"] for rule in yaml.safe_load(text)["escalation"]}
    assert clocks.of("no longer there") == clocks.otherwise


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "  death:",
            "  unheard_of:",
            "death has no recipient and no clock; the risk model has no escalation rule unheard",
        ),
        ("otherwise: {recipient: det_supt", "otherwise: {recipient: nobody_here", "nobody_here is none"),
        ("minutes: 15}", "minutes: 0}", "exclusiveMinimum|less than or equal"),
    ],
)
def test_a_policy_that_leaves_a_flag_without_a_duty_is_refused(
    sqlite_store: Store, tmp_path: Path, old: str, new: str, words: str
) -> None:
    folder = tmp_path / "policy"
    folder.mkdir()
    for name in ("escalation.yaml", "risk-model.yaml"):
        text = (Path(sqlite_store.settings.policy) / name).read_text()
        (folder / name).write_text(text.replace(old, new, 1) if name == "escalation.yaml" else text)
        assert name != "escalation.yaml" or old in text
    with pytest.raises(SettingsError, match=words):
        Clocks.load(Settings(home=tmp_path, policy=folder))


def test_flags_are_listed_and_acknowledged_at_the_command_line(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.pipeline.cases.conftest import PASSWORD, add_people

    add_people(sqlite_store)
    samples.publish_rows(sqlite_store, assessments=[samples.assessment(1, "low", flags=[flag("death")])])
    settings = sqlite_store.settings
    for name, value in (("HOME", settings.home), ("POLICY", settings.policy), ("FORCE", "42")):
        monkeypatch.setenv(f"TRIAGE_{name}", str(value))

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(triage, ["queue", *arguments, "--as", "ana"], input=PASSWORD + "\n")
        assert done.exit_code == 0, done.output
        return done.output

    listed = run("flags", "--format", "csv")
    assert "death" in listed and "Detective Superintendent" in listed
    number = open_flags(sqlite_store)[0].flag_id
    case_id = samples.case_of(1)
    told = run("told", case_id, "--flag", str(number), "--to", "Det Supt Sample", "--at", "2026-03-02T04:00+00:00")
    assert "Det Supt Sample" in told
    assert open_flags(sqlite_store) == []
    shown = run("show", case_id, "--reason", "test", "--format", "csv")
    assert "Det Supt Sample was told by Ana Lyst on 2 Mar 2026, 04:00" in shown
