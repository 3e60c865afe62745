"""Graded results come back: attached to the case at once, raised at once, and on their way to CAID."""

from __future__ import annotations

import json
import os
import pwd
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from hashsets.cli import hashset
from hashsets.importing import importer
from pipeline.contract import start
from pipeline.errors import ConflictError, InputError, PermissionDeniedError, TriageError, UsageError
from pipeline.lake import Lake
from pipeline.night import stages, turns
from pipeline.people import users
from pipeline.settings import Settings
from pipeline.store.actors import SYSTEM
from pipeline.store.opening import open_store
from pipeline.store.people_tables import AuditEntry
from pipeline.store.tables import Assessment, Case, Change

OWN = pwd.getpwuid(os.getuid()).pw_name
FILE = Path(__file__).parents[2] / "data" / "graded" / "graded.json"
REPORT = {
    "reportId": 90000117,
    "dateReceived": "2026-11-20T08:00:00Z",
    "reportedInformation": {
        "reportingEsp": {"espName": "Provider 7 Inc"},
        "incidentSummary": {
            "incidentType": "Child Pornography (possession, manufacture, and distribution)",
            "incidentDateTime": "2026-11-19T10:00:00Z",
            "platform": "plat7",
        },
        "reportedPeople": {"reportedPersons": [{"id": 1, "firstName": "Sample", "lastName": "Person seven"}]},
        "uploadedFiles": {
            "uploadedFiles": [
                {"filename": "a1.jpg", "verificationHash": "0123456789abcdef0123456789abcde1"},
                {"filename": "a2.jpg", "verificationHash": "0123456789abcdef0123456789abcde2"},
            ]
        },
    },
}


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after the part of a night that makes one case of a report with two described files, without a release."""
    home = tmp_path_factory.mktemp("graded") / "home"
    settings = Settings(home=home, threads=2)
    package = settings.landing_dir / "nca" / "g1"
    package.mkdir(parents=True)
    (package / "report.json").write_text(json.dumps(REPORT))
    (package / ".ready").touch()
    run = start(settings, "night-1", datetime(2026, 11, 20, 9, tzinfo=UTC))
    for name in ("ingest", "flood", "assess", "publish"):
        stages.run_stage(settings, stages.find(name), run, None)
    store = open_store(settings)
    with store.session() as session:
        users._add(session, SYSTEM, OWN, "Test Person", roles=["dmi"], password=None)
    store.close()
    return home


@pytest.fixture
def home(night: Path, tmp_path: Path) -> Settings:
    return Settings(home=Path(shutil.copytree(night, tmp_path / "home")), threads=2)


def number(settings: Settings) -> str:
    store = open_store(settings)
    with store.reader() as session:
        found = session.scalars(sa.select(Case.case_id)).one()
    store.close()
    return found


def triage(settings: Settings, *words: str) -> list[dict[str, Any]]:
    result = CliRunner().invoke(hashset, [*words, "--format", "jsonl"], obj=settings)
    if isinstance(result.exception, TriageError):
        raise result.exception
    assert result.exit_code == 0, (result.output, result.exception)
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


def come_back(settings: Settings, case: str, path: Path = FILE, source: str = "force") -> dict[str, Any]:
    [row] = triage(settings, "import", "--source", source, "--case", case, str(path))
    return row


def test_the_opinions_are_the_case_s_at_once_and_raise_what_they_raise(home: Settings) -> None:
    case = number(home)
    row = come_back(home, case)
    assert (row["entries"], row["rejected"], row["release"], row["files_graded"], row["files_not_graded"]) == (
        2,
        0,
        1,
        1,
        1,
    )
    assert row["score"] > row["score_before"]
    [match] = Lake(home.lake_dir).read("matches").to_pylist()
    assert (match["kind"], match["category"], match["victim_identified"]) == ("claimed", "A", "no")
    assert match["sources"] == ["force"]
    store = open_store(home)
    with store.reader() as session:
        found = session.get_one(Case, case)
        newest = session.get_one(Assessment, found.assessment_id)
        assert newest.sequence == 2 and newest.score == found.score == row["score"]
        texts = session.scalars(sa.select(Change.text).where(Change.case_id == case, Change.kind == "graded")).all()
        assert texts == [
            "Graded results came back (This force's own categorisations, graded.json): 1 of 2 files graded, release 1"
        ]
        entry = session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "case.graded")).one()
        assert (entry.case_id, entry.user_id, entry.category) == (case, OWN, "collection")
    store.close()
    assert turns.free(home) is None  # the turn was given up


def test_from_the_referral_to_the_known_hash_store_and_out_for_caid(home: Settings, tmp_path: Path) -> None:
    come_back(home, number(home))
    target = tmp_path / "for-caid.json"
    result = CliRunner().invoke(hashset, ["export", "--source", "force", "--output", str(target)], obj=home)
    assert result.exit_code == 0, result.output
    out = {m["MD5"]: m for m in json.loads(target.read_text())["value"]}
    assert {m["Category"] for m in out.values()} == {"A", "C"}
    assert out["0123456789ABCDEF0123456789ABCDE1"]["VictimIdentified"] in {"false", False}


def test_the_same_file_again_changes_nothing(home: Settings) -> None:
    case = number(home)
    first, second = come_back(home, case), come_back(home, case)
    assert (second["score"], second["release"], second["files_graded"]) == (first["score"], 1, 1)
    assert Lake(home.lake_dir).read("matches").num_rows == 1


def test_a_second_opinion_of_the_force_regrades_what_it_had_matched(home: Settings, tmp_path: Path) -> None:
    case = number(home)
    come_back(home, case)
    later = tmp_path / "later.json"
    later.write_text(FILE.read_text().replace('"VictimIdentified": "false"', '"VictimIdentified": "true"'))
    row = come_back(home, case, later)
    assert row["release"] == 2
    newest = max(Lake(home.lake_dir).read("matches").to_pylist(), key=lambda r: r["release"])
    assert (newest["release"], newest["victim_identified"]) == (2, "yes")


def test_what_cannot_be_attached_is_refused_and_nothing_is_imported(home: Settings, tmp_path: Path) -> None:
    case = number(home)
    with pytest.raises(UsageError, match="not the force's own source"):
        come_back(home, case, source="caid")
    with pytest.raises(UsageError, match="C-0000000000"):
        come_back(home, "C-0000000000")
    other = tmp_path / "other.json"
    other.write_text(FILE.read_text().replace("EXAM-2026-0117", "C-7F3A9C21KD"))
    with pytest.raises(InputError, match="of case C-7F3A9C21KD"):
        come_back(home, case, other)
    store = open_store(home)
    with store.session() as session:
        session.get_one(Case, case).compartment = "ucol"
    with pytest.raises(UsageError, match=case):
        come_back(home, case)
    with store.session() as session:
        session.get_one(Case, case).compartment = None
    store.close()
    assert importer.all_imports(home) == []


def test_it_waits_for_whoever_writes_the_queue(home: Settings) -> None:
    holder = turns.Holder("night-9", turns.NIGHT, host="elsewhere", process="1.1.1")
    assert turns.take(home, holder, lambda _: "running") is None
    with pytest.raises(ConflictError, match="night-9 has the turn"):
        come_back(home, number(home))
    assert importer.all_imports(home) == []


def test_an_auditor_may_not(home: Settings) -> None:
    store = open_store(home)
    with store.session() as session:
        session.execute(sa.text("UPDATE users SET roles = '[\"auditor\"]' WHERE user_id = :own"), {"own": OWN})
    store.close()
    with pytest.raises(PermissionDeniedError, match=r"case\.grade"):
        come_back(home, number(home))
