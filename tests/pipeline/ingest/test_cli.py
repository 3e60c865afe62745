"""`triage sample` and `triage ingest` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipeline.cli import triage
from tests import factory


def typed(home: Path, *arguments: str) -> Result:
    runner = CliRunner(env={"TRIAGE_HOME": str(home), "TRIAGE_LOG_LEVEL": "ERROR", "TRIAGE_CORPORA": ""})
    return runner.invoke(triage, arguments, catch_exceptions=False)


def test_sample_then_ingest(tmp_path: Path) -> None:
    made = typed(tmp_path, "sample", "--referrals", "8", "--seed", "2", "--known", "5", "--format", "json")
    assert made.exit_code == 0
    counts = {row["what"]: row["count"] for row in json.loads(made.stdout)}
    taken = typed(tmp_path, "ingest", "--run", "night-1", "--format", "json")
    assert taken.exit_code == 0
    rows = {row["what"]: row["count"] for row in json.loads(taken.stdout)}
    assert rows["packages_accepted"] == counts["accepted"]
    assert rows["packages quarantined"] == counts["quarantined"]
    assert rows["packages waiting"] == counts["waiting"]
    assert rows["packages read"] == sum(n for what, n in counts.items() if not what.startswith("files_"))
    again = typed(tmp_path, "ingest", "--run", "night-1", "--format", "csv")
    assert "packages_seen_before" in again.stdout


def test_ingest_of_nothing(tmp_path: Path) -> None:
    result = typed(tmp_path, "ingest", "--format", "json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)[0] == {"what": "packages read", "count": 0}


def test_what_is_returned_is_listed_with_its_clock(tmp_path: Path) -> None:
    assert json.loads(typed(tmp_path, "returned", "--format", "json").stdout) == []
    typed(tmp_path, "sample", "--referrals", "8", "--seed", "2", "--known", "5")
    typed(tmp_path, "ingest", "--run", "night-1")
    rows = json.loads(typed(tmp_path, "returned", "--format", "json").stdout)
    assert len(rows) == 5
    assert {row["state"] for row in rows} == {"returned for information"}
    assert all(row["reasons"] and 0 <= row["hours"] < 1 and row["times_returned"] == 1 for row in rows)
    assert "nca/sample-broken-json" in {row["container"] for row in rows}


def test_what_waits_is_listed_with_its_reasons(tmp_path: Path) -> None:
    assert json.loads(typed(tmp_path, "waiting", "--format", "json").stdout) == []
    typed(tmp_path, "sample", "--referrals", "8", "--seed", "2", "--known", "5")
    before = json.loads(typed(tmp_path, "waiting", "--format", "json").stdout)
    typed(tmp_path, "ingest", "--run", "night-1")
    rows = json.loads(typed(tmp_path, "waiting", "--format", "json").stdout)
    assert rows and [row["container"] for row in rows] == [row["container"] for row in before]
    assert all(row["reasons"] and row["hours"] < 1 for row in rows)
    (tmp_path / "landing" / "other" / "new.json").write_bytes(factory.form(reference="WAITS-1"))
    (new,) = [r for r in json.loads(typed(tmp_path, "waiting", "--format", "json").stdout) if r not in rows]
    assert new["reasons"] == "no checksum list and no .ready marker says that it is complete"
    (tmp_path / "landing" / "other" / "new.json.READY").touch()
    assert json.loads(typed(tmp_path, "waiting", "--format", "json").stdout) == rows


@pytest.mark.parametrize("command", ["sample", "ingest", "waiting", "returned"])
def test_help_teaches(tmp_path: Path, command: str) -> None:
    shown = typed(tmp_path, command, "--help").stdout
    assert "Example:" in shown
    assert "--format" in shown


def test_options_are_checked(tmp_path: Path) -> None:
    assert typed(tmp_path, "sample", "--referrals", "0").exit_code == 2
    assert factory.DAY.tzinfo is not None
