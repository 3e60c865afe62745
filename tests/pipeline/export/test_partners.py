"""What partners are given: the filled referral to children's services, and addresses for command-and-control systems."""

from __future__ import annotations

import csv
import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from pipeline import records
from pipeline.cases.views import case as view
from pipeline.cli import triage
from pipeline.errors import PermissionDeniedError, UsageError
from pipeline.export.exchange import childrens, markers
from pipeline.lake import Lake
from pipeline.store.opening import Store
from pipeline.store.people_tables import AuditEntry
from tests.pipeline.cases import samples
from tests.pipeline.cases.conftest import (  # noqa: F401 - fixtures
    ANALYST,
    DMI,
    PASSWORD,
    SUPERVISOR,
    add_people,
    clock,
    policy_folder,
    sqlite_store,
    sqlite_template,
)
from tests.pipeline.cases.samples import assessment, case_of, reason, referral, referral_row

CONCERN = childrens.Referral("Kent", "s47", "[synthetic concern]", date(2026, 3, 2), date(2026, 3, 4))


@pytest.fixture
def told(sqlite_store: Store) -> Store:  # noqa: F811
    """Three cases: high with a suspect and a child, low with a suspect, and a restricted very high one."""
    people = [
        ("S1", 1, "suspect", "Person Sample", "1 Sample Street", "CM1 1QH"),
        ("S2", 1, "victim", "Child Sample", "2 Sample Street", "ME14 1XX"),
        ("S3", 2, "suspect", "Other Sample", "3 Sample Street", "CM1 1QH"),
        ("S4", 3, "suspect", "Covert Sample", "4 Sample Street", "CM1 1QH"),
        ("S5", 1, "reporter", "Desk Sample", "5 Sample Street", "CM1 1QH"),
        ("S6", 1, "suspect", "Person Sample", "1 sample street", "CM1 1QH"),
    ]
    rows = [
        {
            "subject_id": own, "referral_id": referral(n), "role": role, "name": name, "date_of_birth": "1980-02-03",
            "addresses": [{"text": text, "postcode": code}], "workplaces": [{"name": "Sample School", "text": "7 Sample Road, ZZ99 9ZZ", "postcode": "ZZ99 9ZZ"}],
        }
        for own, n, role, name, text, code in people
    ]  # fmt: skip
    lake = Lake.of(sqlite_store.settings)
    lake.commit("ingest", "people", {"subjects": records.build("subjects", rows)}, run_id="night-0")
    samples.publish_rows(
        sqlite_store,
        assessments=[
            assessment(1, "high", reasons=[reason("lives_with_children", 32)]),
            assessment(2, "low"),
            assessment(3, "very_high", summary={"compartment": "ucol"}),
        ],
        referrals=[referral_row(n, compartment="ucol" if n == 3 else None) for n in (1, 2, 3)],
    )
    return sqlite_store


def fill(store: Store, stated: childrens.Referral = CONCERN, actor: Any = ANALYST) -> str:
    with store.session() as session:
        return childrens.fill(session, actor, Lake.of(store.settings), case_of(1), stated)


def test_the_form_says_threshold_concern_meeting_people_and_what_is_known(told: Store) -> None:
    text = fill(told)
    for words in (
        "Children's services, Kent", "Section 47, Children Act 1989", "significant harm", "[synthetic concern]",
        "Asked for: 2026-03-02", "Held: 2026-03-04", "Child: Child Sample, born 1980-02-03", "2 Sample Street, ME14 1XX",
        "Suspect: Person Sample", "work: Sample School", "Reason lives_with_children: Why lives_with_children",
    ):  # fmt: skip
        assert words in text, words
    assert "ZZ99 9ZZ, ZZ99 9ZZ" not in text and "work: Sample School, 7 Sample Road, ZZ99 9ZZ\n" in text
    assert "Desk Sample" not in text, "the reporter is nobody whom children's services protect"


def test_the_form_is_a_disclosure_in_the_log_and_in_the_history(told: Store) -> None:
    text = fill(told)
    with told.session() as session:
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "childrens.referred")).one()
        assert (entry.category, entry.recipient, entry.case_id) == (
            "disclosure", "Children's services: Kent", case_of(1),
        )  # fmt: skip
        assert json.loads(entry.detail) == {
            "threshold": "s47", "strategy_asked": "2026-03-02", "strategy_held": "2026-03-04",
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
        }  # fmt: skip
        seen = view.read(session, ANALYST, case_of(1), "test")
        assert any("strategy meeting asked for 2026-03-02, held 2026-03-04" in change.text for change in seen.history)


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        (childrens.Referral("Kent", "s99", "x"), "no threshold"),
        (childrens.Referral(" ", "s17", "x"), "needs the authority"),
        (childrens.Referral("Kent", "s17", " "), "needs the authority"),
        (childrens.Referral("Kent", "s17", "x", None, date(2026, 3, 4)), "held on or after"),
        (childrens.Referral("Kent", "s17", "x", date(2026, 3, 5), date(2026, 3, 4)), "held on or after"),
    ],
)
def test_a_form_that_cannot_be_is_refused(told: Store, stated: childrens.Referral, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        fill(told, stated)


def test_only_those_who_notify_fill_the_form(told: Store) -> None:
    with pytest.raises(PermissionDeniedError):
        fill(told, actor=DMI)


def test_markers_are_homes_of_suspects_and_children_from_a_band_up(told: Store) -> None:
    def listed(actor: Any, band: str) -> list[tuple[str, str, str]]:
        with told.reader() as session:
            rows = markers.rows(session, actor, Lake.of(told.settings), band)
        assert all(tuple(row) == tuple(markers.COLUMNS) for row in rows)
        return [(row["address"], row["whose"], row["band"]) for row in rows]

    mine = [("1 Sample Street", "suspect", "high"), ("2 Sample Street", "child", "high")]
    assert sorted(listed(DMI, "high")) == mine
    assert sorted(listed(DMI, "low")) == [*mine, ("3 Sample Street", "suspect", "low")]
    assert sorted(listed(SUPERVISOR, "high")) == [*mine, ("4 Sample Street", "suspect", "very_high")]


def test_both_exports_at_the_command_line(told: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_people(told)
    for name, value in (("HOME", told.settings.home), ("POLICY", told.settings.policy), ("FORCE", "42")):
        monkeypatch.setenv(f"TRIAGE_{name}", str(value))

    def run(who: str, *words: str) -> None:
        done = CliRunner().invoke(
            triage, ["export", *words, "--as", who, "--reason", "test"], input=PASSWORD + "\n", catch_exceptions=False
        )
        assert done.exit_code == 0, done.output

    run("dan", "markers", "--band", "high", "--to", "Control room", "--output", str(tmp_path / "m.csv"))
    with (tmp_path / "m.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [r["postcode"] for r in rows] == ["CM1 1QH", "ME14 1XX"] and rows[0]["marker"] == markers.MARKER
    run(
        "ana", "childrens-services", case_of(1), "--authority", "Kent", "--threshold", "s17", "--concern", "[synthetic]",
        "--strategy-asked", "2026-03-02", "--output", str(tmp_path / "form.txt"),
    )  # fmt: skip
    assert "Section 17" in (tmp_path / "form.txt").read_text()
    with told.reader() as session:
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "exported.markers")).one()
        assert (entry.recipient, json.loads(entry.detail)) == ("Control room", {"rows": 2})
