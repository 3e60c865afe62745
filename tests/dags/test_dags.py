"""The DAGs: they load, have the shape that the manual describes, run a whole night, and leak nothing."""

from __future__ import annotations

import io
import itertools
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline import records
from pipeline.lake import Lake, run_rows
from pipeline.night.orchestration import TASKS_AT_MOST, WRITER_POOL
from pipeline.settings import ROOT, Settings

# Two warnings of Airflow about its own libraries, by their text; every other one is an error here too.
pytestmark = [
    pytest.mark.airflow,
    # Airflow's in-process API client still uses httpx with Starlette's test client
    pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient` is deprecated"),
    # the Alembic configuration of Airflow's FAB provider names no path separator
    pytest.mark.filterwarnings("ignore:No path_separator found in configuration:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def bag(airflow_home: Path) -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag()


def edges(dag: Any) -> dict[str, set[str]]:
    return {t.task_id: set(t.downstream_task_ids) for t in dag.tasks}


class TestStructure:
    def test_they_load_and_there_are_five(self, bag: Any) -> None:
        assert bag.import_errors == {}
        assert set(bag.dags) == {
            "nightly_triage",
            "hashset_refresh",
            "graded_results",
            "retro_match",
            "lake_maintenance",
        }

    def test_the_night_goes_left_to_right(self, bag: Any) -> None:
        after = edges(bag.dags["nightly_triage"])
        order = [
            "take_turn",
            "plan_digest",
            "digest",
            "ingest",
            "plan_fingerprint",
            "fingerprint",
            "plan_match",
            "match",
            "flood",
            "plan_assess",
            "assess_cases",
            "assess",
            "publish",
            "reporting",
            "reconcile",
        ]
        for here, there in itertools.pairwise(order):
            assert there in after[here]
        assert after["reconcile"] == set()

    def test_no_graph_has_a_fan_of_edges(self, bag: Any) -> None:
        """Each task is followed by the next one alone, so that the graph is one line to be read from left to right."""
        wide = {
            (dag.dag_id, here): sorted(there)
            for dag in bag.dags.values()
            for here, there in edges(dag).items()
            if len(there) > 1
        }
        assert wide == {}

    def test_stages_stand_in_groups(self, bag: Any) -> None:
        groups = {name: sorted(set(dag.task_group_dict) - {None}) for name, dag in bag.dags.items()}
        assert groups == {
            "nightly_triage": ["arrival", "fingerprinting", "matching", "queue"],
            "hashset_refresh": ["release"],
            "graded_results": [],
            "retro_match": ["queue"],
            "lake_maintenance": [],
        }
        queue = bag.dags["nightly_triage"].task_group_dict["queue"]
        assert sorted(queue.children) == ["assess", "assess_cases", "plan_assess", "publish", "reconcile", "reporting"]

    def test_a_release_waits_for_a_person_and_holds_no_night_up_meanwhile(self, bag: Any) -> None:
        after = edges(bag.dags["hashset_refresh"])
        for here, there in itertools.pairwise(["import_files", "build", "approve", "take_turn", "publish_release"]):
            assert there in after[here]
        approve = bag.dags["hashset_refresh"].get_task("approve")
        assert approve.response_timeout == timedelta(days=7) and approve.pool != WRITER_POOL
        assert set(approve.params) == {"reason"}

    def test_every_task_is_retried_and_has_an_end(self, bag: Any) -> None:
        for dag in bag.dags.values():
            waits = timedelta(days=7) if dag.dag_id == "hashset_refresh" else timedelta(0)  # for a person's word
            assert dag.dagrun_timeout == timedelta(hours=20) + waits
            assert dag.catchup is False and dag.max_active_runs == 1 and "When it fails" in dag.doc_md
            for task in dag.tasks:
                assert task.retries == 7 and task.retry_policy is not None, task.task_id
                assert timedelta(minutes=1) < task.execution_timeout <= timedelta(hours=4), task.task_id

    def test_stages_that_write_one_home_share_one_slot(self, bag: Any) -> None:
        single = {(d.dag_id, t.task_id) for d in bag.dags.values() for t in d.tasks if t.pool == WRITER_POOL}
        assert {("nightly_triage", t) for t in ("ingest", "flood", "assess", "publish")} <= single
        assert {
            ("hashset_refresh", "import_files"),
            ("hashset_refresh", "build"),
            ("hashset_refresh", "publish_release"),
        } <= single
        assert {("retro_match", "assess"), ("retro_match", "publish")} <= single

    def test_fingerprints_and_matches_are_mapped(self, bag: Any) -> None:
        mapped = {t.task_id for t in bag.dags["nightly_triage"].tasks if t.is_mapped}
        assert mapped == {"digest", "fingerprint", "match", "assess_cases"}

    def test_no_night_is_mapped_to_more_tasks_than_airflow_takes(self, airflow_home: Path) -> None:
        from airflow.configuration import conf

        assert conf.getint("core", "max_map_length") >= TASKS_AT_MOST

    def test_assets_join_the_dags(self, bag: Any) -> None:
        outlets = {(d.dag_id, a.name) for d in bag.dags.values() for t in d.tasks for a in t.outlets}
        assert {
            ("nightly_triage", "referrals"),
            ("nightly_triage", "case_queue"),
            ("hashset_refresh", "known_hashes"),
        } <= outlets
        known = bag.dags["retro_match"].timetable.asset_condition
        assert "known_hashes" in str(known)
        (watcher,) = known.objects[0].watchers
        assert type(watcher.trigger).__name__ == "ReleaseTrigger"  # what is published by command starts it too
        assert "hashset_files" in str(bag.dags["hashset_refresh"].timetable.asset_condition)

    def test_they_survive_serialisation(self, bag: Any) -> None:
        from airflow.serialization.serialized_objects import DagSerialization

        for dag in bag.dags.values():
            again = DagSerialization.from_dict(DagSerialization.to_dict(dag))
            assert edges(again) == edges(dag)


CANARY = "zqcanary"


def planted(value: Any, path: str = "") -> Any:
    """A report with the canary in every text that is not one of the few words by which its format is recognised."""
    if isinstance(value, dict):
        return {key: planted(item, f"{path}/{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [planted(item, path) for item in value]
    if isinstance(value, str) and not path.endswith(("/format", "/schema", "/version", "/source", "/$schema")):
        return f"{value} {CANARY}"
    return value


@pytest.fixture(scope="module")
def night(airflow_db: Path) -> tuple[Settings, str]:
    """A whole night through the DAGs, on sample packages and copies of them with a canary in every field."""
    from deploy.demo import accounts
    from deploy.embedded import run_dag

    os.environ["TRIAGE_HOME"] = str(airflow_db / "data")
    settings = Settings.load()
    subprocess.run(
        [sys.executable, "-m", "pipeline", "sample", "--seed", "11", "--referrals", "12", "--day", "2026-11-20"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    accounts(settings.home)
    for number, path in enumerate(sorted(settings.landing_dir.glob("*/*/**/*.json"))[:6]):
        if "hashsets" in path.parts or "lists" in path.parts:
            continue
        try:
            report = json.loads(path.read_text(encoding="utf-8-sig"))
        except ValueError:
            continue
        source = path.relative_to(settings.landing_dir).parts[0]
        folder = settings.landing_dir / source / f"{CANARY}-{number}"
        folder.mkdir()
        (folder / path.name).write_text(json.dumps(planted(report)))
        (folder / ".ready").touch()
    output = io.StringIO()
    with redirect_stdout(output), redirect_stderr(output):
        states = [
            run_dag(dag, {"run_id": "tested", "as_of": "2026-11-21T01:00:00+00:00"})
            for dag in ("hashset_refresh", "nightly_triage")
        ]
    assert states == ["success", "success"], output.getvalue()[-4000:]
    return settings, output.getvalue()


class TestNight:
    def test_it_reconciles_and_fills_the_queue(self, night: tuple[Settings, str]) -> None:
        settings, _ = night
        report = json.loads((settings.runs_dir / "tested" / "report.json").read_text())
        assert report["reconciles"] is True
        assert {"ingest", "fingerprint", "match", "flood", "assess", "publish"} <= set(report["stages"])
        listed = subprocess.run(
            [sys.executable, "-m", "pipeline", "queue", "list", "--format", "json"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert len(json.loads(listed.stdout)) > 5

    def test_no_personal_data_in_logs_database_or_run_folder(
        self, night: tuple[Settings, str], airflow_db: Path
    ) -> None:
        settings, output = night
        lake = Lake(settings.lake_dir)
        taken_in = {t for t in records.tables() if CANARY in repr(lake.read(t).to_pylist())}
        assert {"referrals", "subjects", "identifiers", "narratives", "media_files", "defects"} <= taken_in
        assert CANARY not in output
        searched = 0
        for folder in (airflow_db / "airflow", settings.runs_dir, settings.lake_dir / "commits"):
            for path in folder.rglob("*"):
                if path.is_file():
                    searched += 1
                    assert CANARY.encode() not in path.read_bytes(), path
                assert CANARY not in path.name
        assert searched > 10
        rows = [row for kind in (run_rows.REPORT, run_rows.PLAN) for row in lake.run_rows.of("tested", kind)]
        assert len(rows) > 8 and CANARY not in repr(rows)

    def test_the_same_night_again_changes_nothing(self, night: tuple[Settings, str]) -> None:
        from deploy.embedded import run_dag

        settings, _ = night
        said = settings.lake_dir / run_rows.FOLDER  # each attempt of a stage is on record

        def published() -> dict[Path, int]:
            found = (p for p in settings.lake_dir.rglob("*") if p.is_file() and said not in p.parents)
            return {p: p.stat().st_mtime_ns for p in found}

        before = published()
        assert run_dag("nightly_triage", {"run_id": "tested"}) == "success"
        assert published() == before

    def test_the_new_release_starts_retro_matching(self, night: tuple[Settings, str]) -> None:
        from airflow.models.asset import AssetDagRunQueue, AssetEvent
        from airflow.utils.session import create_session

        with create_session() as session:
            events = {e.asset.name for e in session.query(AssetEvent).all()}
            queued = {row.target_dag_id for row in session.query(AssetDagRunQueue).all()}
        assert {"referrals", "known_hashes", "case_queue"} <= events
        assert queued <= {"retro_match", "hashset_refresh"}
