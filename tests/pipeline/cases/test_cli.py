"""`triage queue`, `triage users` and `triage audit`, run as a person runs them."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from pipeline.cases import cli
from pipeline.cases.work import kirat
from pipeline.errors import IntegrityError, PermissionDeniedError, UsageError
from pipeline.people import users
from pipeline.store.actors import SYSTEM
from pipeline.store.opening import Store
from pipeline.store.tables import Case
from tests.pipeline.cases.conftest import SUPERVISOR
from tests.pipeline.cases.samples import assessment, case_of, publish_rows, reason

OWN = pwd.getpwuid(os.getuid()).pw_name
Triage = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def triage(sqlite_store: Store) -> Triage:
    """Runs a command and gives its rows; three cases are in the store, and the machine account is an analyst's."""
    open_question = {"feature": "contact_offer", "question": "Met?", "band_if_yes": "very_high", "band_if_no": "medium"}
    grooming = reason("grooming", 35, [("facts", "F-1")])
    returned = {"quarantined_packages": ["P-2"]}
    high = assessment(2, "high", reasons=[grooming], unknowns=[open_question], summary=returned)
    low = assessment(1, "low")
    publish_rows(sqlite_store, assessments=[low, high, assessment(3, "medium")])
    with sqlite_store.session() as session:
        users._add(session, SYSTEM, OWN, "Test Person", roles=["analyst"], password=None)

    def run(*words: str, given: str | None = None) -> list[dict[str, Any]]:
        group = {"queue": cli.queue, "users": cli.users, "audit": cli.audit}[words[0]]
        arguments = [*words[1:], *(() if words[:2] == ("audit", "export") else ("--format", "json"))]
        result = CliRunner().invoke(group, arguments, obj=sqlite_store.settings, input=given)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        if not result.stdout:
            return []
        rows: list[dict[str, Any]] = json.loads(result.stdout)
        return rows

    return run


def person(store: Store, role: str) -> str:
    """Another account with a password."""
    with store.session() as session:
        users._add(session, SYSTEM, role[:3], role, roles=[role], password="correct horse battery")
    return role[:3]


def test_the_list_is_in_the_queue_s_order_and_can_be_narrowed(triage: Triage) -> None:
    assert [r["band"] for r in triage("queue", "list")] == ["high", "medium", "low"]
    assert [r["case_id"] for r in triage("queue", "list", "--band", "low", "--holder", "nobody")] == [case_of(1)]
    assert triage("queue", "list", "--provider", "Nobody") == []


def test_a_day_s_work_from_the_claim_to_the_decision(triage: Triage) -> None:
    [first] = triage("queue", "claim")
    assert (first["case_id"], first["state"], first["holder"]) == (case_of(2), "allocated", OWN)
    [noted] = triage("queue", "note", case_of(2), "Called the provider", "--version", str(first["version"]))
    [enquiry] = triage(
        "queue", "decide", case_of(2), "start_enquiry", "--reason", "enquiry_opened", "--version", str(noted["version"])
    )
    assert enquiry["state"] == "in_enquiry"
    closing = ("queue", "decide", case_of(2), "close", "--reason", "enquiry_complete", "--version")
    with pytest.raises(UsageError, match="outcome"):
        triage(*closing, str(enquiry["version"]))
    [closed] = triage(*closing, str(enquiry["version"]), "--outcome", "no_offence")
    assert closed["state"] == "closed"
    [other] = triage("queue", "claim", case_of(3))
    [back] = triage("queue", "release", case_of(3), "--version", str(other["version"]))
    assert (back["state"], back["holder"]) == ("new", None)
    shown = triage("queue", "show", case_of(2))
    parts = {(r["part"], r["detail"]) for r in shown}
    assert ("decision", "Closed: Enquiry complete, outcome: No offence") in parts
    assert ("note", "Called the provider") in parts
    by = [r["what"] for r in shown if r["part"] in {"decision", "note"}]
    assert by and all(what.endswith(" Test Person") for what in by), "people are named by their names"


def test_a_closed_case_is_retained_and_erased_by_a_supervisor(triage: Triage, sqlite_store: Store) -> None:
    case = case_of(2)
    triage("queue", "claim", case)
    with pytest.raises(UsageError, match="outcome with which the case is closed"):
        triage("queue", "decide", case, "close", "--reason", "enquiry_complete", "--version", "2")
    triage(
        "queue", "decide", case, "close", "--reason", "enquiry_complete", "--outcome", "no_offence", "--version", "2"
    )
    head = {r["what"]: r["detail"] for r in triage("queue", "show", case) if r["part"] == "case"}
    assert head["state"] == "Closed: No offence" and head["retention review"] and "urgency" not in head
    decide = ("queue", "decide", case)
    with pytest.raises(PermissionDeniedError):
        triage(*decide, "retain", "--reason", "statutory", "--version", "3")
    sign = {"given": "correct horse battery\n"}
    by = ("--as", person(sqlite_store, "supervisor"))
    assert triage("queue", "retention", *by, **sign) == [], "its review has not come"
    with sqlite_store.session() as session:
        session.execute(sa.update(Case).where(Case.case_id == case).values(retention_review_at=Case.closed_at))
    [due] = triage("queue", "retention", *by, **sign)
    assert (due["case_id"], due["outcome"], due["version"]) == (case, "no_offence", 3)
    triage(*decide, "retain", "--reason", "statutory", "--version", "3", *by, **sign)
    assert triage("queue", "retention", *by, **sign) == []
    erase = (*decide, "erase", "--reason", "court_order", "--version", "4", *by)
    with pytest.raises(UsageError, match="nothing of the case is kept"):
        triage(*erase, "--note", "why", **sign)
    assert triage(*erase, **sign) == [{"case_id": case, "state": "erased", "referrals": 1}]
    with pytest.raises(UsageError, match="no case"):
        triage("queue", "show", case)


def test_a_case_is_shown_with_evidence_and_with_kirat_as_it_was_entered(triage: Triage, sqlite_store: Store) -> None:
    with sqlite_store.session() as session:
        kirat.enter(
            session, SUPERVISOR, case_of(2),
            level="low", tool_version="2.1", assessor="P. Smith", assessed_on=date(2026, 3, 1), version=1,
        )  # fmt: skip
    shown = triage("queue", "show", case_of(2), "--reason", "allocated")
    head = {r["what"]: r["detail"] for r in shown if r["part"] == "case"}
    assert head["KIRAT (entered)"] == "Low, version 2.1, by P. Smith on 2026-03-01"
    assert head["band"] == "high" and head["inputs"] and head["model"]
    assert {r["part"] for r in shown} >= {"reason", "waits", "new"}
    [why] = [r for r in shown if r["part"] == "reason"]
    assert why["detail"].startswith("+35") and why["evidence"] == "facts F-1"
    assert [(r["what"], r["detail"]) for r in shown if r["part"] == "unknown"] == [
        ("Met?", "if yes: Very high; if no: Medium")
    ]
    assert [r["detail"] for r in shown if r["what"] == "package in quarantine"] == [
        "P-2: more of this case came and could not be read"
    ]
    assert any(r["part"] == "waits" and "KIRAT Low lies below" in r["detail"] for r in shown)
    auditor = person(sqlite_store, "auditor")
    [look] = triage("audit", "list", "--category", "consultation", "--as", auditor, given="correct horse battery\n")
    assert (look["action"], look["user_id"], look["reason"]) == ("case.read", OWN, "allocated")


def test_a_lowering_needs_band_note_and_a_supervisor(triage: Triage, sqlite_store: Store) -> None:
    [mine] = triage("queue", "claim", case_of(2))
    lowering = ("queue", "decide", case_of(2), "propose_lowering", "--version", str(mine["version"]))
    with pytest.raises(UsageError, match="--band goes with"):
        triage(*lowering, "--reason", "wrong_person", "--note", "Another person's number")
    with pytest.raises(UsageError, match="note is needed"):
        triage(*lowering, "--reason", "wrong_person", "--band", "low")
    with pytest.raises(UsageError, match="wrong_person"):
        triage(*lowering, "--reason", "because", "--band", "low", "--note", "x")
    triage(*lowering, "--reason", "wrong_person", "--band", "low", "--note", "Another person's number")
    approve = ("queue", "decide", case_of(2), "approve_lowering", "--reason", "wrong_person", "--note", "Agreed")
    with pytest.raises(PermissionDeniedError, match=r"case\.approve_lowering"):
        triage(*approve, "--version", str(mine["version"] + 1))
    boss = person(sqlite_store, "supervisor")
    again = (*approve, "--version", str(mine["version"] + 1), "--as", boss)
    with pytest.raises(PermissionDeniedError, match="wrong"):
        triage(*again, given="guess\n")
    [lowered] = triage(*again, given="correct horse battery\n")
    assert lowered["band"] == "low"


def test_the_audit_log_is_exported_and_checked_anywhere(triage: Triage, sqlite_store: Store, tmp_path: Path) -> None:
    as_auditor = ("--as", person(sqlite_store, "auditor"))
    secret, path = "correct horse battery\n", tmp_path / "log.jsonl"
    [intact] = triage("audit", "verify", *as_auditor, given=secret)
    assert (intact["result"], intact["anchors"]) == ("intact as far as the log itself can tell: no anchor yet", 0)
    triage("audit", "anchor", *as_auditor, given=secret)
    [anchored] = triage("audit", "verify", *as_auditor, given=secret)
    assert (anchored["result"], anchored["anchors"]) == ("intact", 1)
    words = ("audit", "export", "--output", str(path), "--recipient", "Inspectorate", "--reason", "yearly", *as_auditor)
    triage(*words, given=secret)
    [checked] = triage("audit", "verify", "--file", str(path))
    assert checked["result"] == "intact up to its last entry: a cut end does not show in a file"
    assert checked["entries"] == len(path.read_text().splitlines())
    path.write_text(path.read_text().replace("yearly", "other", 1))
    with pytest.raises(IntegrityError, match="was edited"):
        triage("audit", "verify", "--file", str(path))


def test_accounts_are_an_administrator_s_to_make(triage: Triage, sqlite_store: Store) -> None:
    with pytest.raises(PermissionDeniedError, match=r"users\.manage"):
        triage("users", "add", "bea", "--role", "analyst", "--no-password")
    boss, secret = person(sqlite_store, "administrator"), "correct horse battery\n"
    triage("users", "add", "bea", "--role", "analyst", "--no-password", "--as", boss, given=secret)
    listed = {r["user_id"] for r in triage("users", "list", "--as", boss, given=secret)}
    assert listed == {"bea", boss, OWN}


@pytest.mark.parametrize("group", [cli.queue, cli.users, cli.audit], ids=lambda g: g.name)
def test_every_command_explains_itself(group: Any) -> None:
    for name, command in group.commands.items():
        shown = CliRunner().invoke(command, ["--help"])
        assert shown.exit_code == 0
        assert command.help and len(command.help) > 10, name
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"{name} {option.name}"
