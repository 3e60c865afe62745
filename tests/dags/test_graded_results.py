"""Graded results the whole way: a night that brings a case with pictures, an upload, the DAG's own tasks, and out for CAID."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from hashsets.cli import hashset
from hashsets.release import releases
from pipeline.contract import reports, start
from pipeline.lake import Lake
from pipeline.night import stages
from pipeline.night.grading import uploads
from pipeline.people import users
from pipeline.settings import Settings
from pipeline.store.actors import SYSTEM
from pipeline.store.opening import Store, open_store
from pipeline.store.tables import Case, Notification
from pipeline.store.work_tables import GradedUpload
from tests import factory
from tests.pipeline.night.grading.test_delivery import FILE, REPORT
from tests.pipeline.night.grading.test_uploads import DAN

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("airflow_home")]
SEEN, NEW, OTHER = factory.picture(1), factory.picture(2), factory.picture(3)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home after a night without a release: one case with two pictures and two described files."""
    settings = Settings(home=tmp_path / "home", threads=2)
    monkeypatch.setattr(Settings, "load", classmethod(lambda cls: settings))
    package = settings.landing_dir / "nca" / "circle"
    (package / "media").mkdir(parents=True)
    report: dict[str, Any] = json.loads(json.dumps(REPORT))
    files = report["reportedInformation"]["uploadedFiles"]["uploadedFiles"]
    for name, content in (("seen.jpg", SEEN), ("new.jpg", NEW)):
        (package / "media" / name).write_bytes(content)
        files.append({"filename": name, "verificationHash": hashlib.md5(content, usedforsecurity=False).hexdigest()})
    (package / "report.json").write_text(json.dumps(report))
    (package / ".ready").touch()
    for _ in stages.run_night(settings, start(settings, "night-1", datetime(2026, 11, 20, 9, tzinfo=UTC))):
        pass
    store = open_store(settings)
    with store.session() as session:
        users._add(session, SYSTEM, "dan", "Dan Dmi", roles=["dmi"], password=None)
    store.close()
    return settings


def graded() -> bytes:
    """The export of a grading tool: the described file of `FILE`, a picture of the case, and one from the device only."""
    export = json.loads(FILE.read_text())
    media = export["value"][0]["Media"]
    for content in (SEEN, OTHER):
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest().upper()
        media.append({"MediaID": len(media) + 1, "Category": "B", "MD5": md5, "VictimIdentified": "false",
                      "MediaFiles": [{"MD5": md5, "FileName": "graded.jpg"}]})  # fmt: skip
    return json.dumps(export).encode()


def sent(settings: Settings, store: Store, case: str) -> int:
    with store.session() as session:
        row = uploads.check(settings, session, DAN, case, name="graded.json", content=graded(), source_id="force")
        assert (row.entries, row.fitting, row.files) == (4, 2, 4)
        uploads.send(session, DAN, case, row.upload_id)
        return row.upload_id


def run_dag(name: str) -> str:
    """The tasks of `graded_results` in their order, each as Airflow calls it. Returns the name of the run."""
    from airflow.dag_processing.dagbag import DagBag

    tasks = DagBag().dags["graded_results"].task_dict
    assert [t.task_id for t in DagBag().dags["graded_results"].topological_sort()] == list(tasks)
    began = SimpleNamespace(
        dag_id="graded_results", run_id=name, run_type="asset_triggered", logical_date=None,
        start_date=datetime(2026, 11, 20, 12, tzinfo=UTC),
    )  # fmt: skip
    run: str = tasks["begin"].python_callable(params={}, dag_run=began)
    for task in ("attach", "reporting", "reconcile"):
        for _ in tasks[task].python_callable(run=run) or ():
            pass
    return run


def test_from_the_referral_to_the_release_and_out_for_caid(home: Settings, tmp_path: Path) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    store = open_store(home)
    with store.reader() as session:
        case = session.scalars(sa.select(Case)).one()
    with pytest.raises(AirflowSkipException, match="Nothing was attached"):
        run_dag("asset__1")
    upload = sent(home, store, case.case_id)
    run = run_dag("asset__2")
    assert [r.stage for r in reports(home, run)][-2:] == ["reporting", "reconcile"]
    matches = {m["kind"]: m for m in Lake(home.lake_dir).read("matches").to_pylist()}
    assert {kind: (m["category"], m["victim_identified"], m["sources"]) for kind, m in matches.items()} == {
        "claimed": ("A", "no", ["force"]), "exact": ("B", "no", ["force"]),
    }  # fmt: skip
    assert matches["exact"]["sha256"] == hashlib.sha256(SEEN).digest()
    with store.reader() as session:
        row = session.get_one(GradedUpload, upload)
        assert (row.state, row.text) == ("taken", "Attached: an opinion on 2 of 4 files; release 1.")
        after = session.get_one(Case, case.case_id)
        assert after.score > case.score and {"Category A material", "Known victim not identified"} & {
            *after.top_reasons
        }
        assert "victim_identification" in session.scalars(sa.select(Notification.kind)).all()
    store.close()
    assert releases.current(home).number == 1
    target = tmp_path / "for-caid.json"
    result = CliRunner().invoke(hashset, ["export", "--source", "force", "--output", str(target)], obj=home)
    assert result.exit_code == 0, result.output
    out = {m["MD5"].lower(): m["Category"] for m in json.loads(target.read_text())["value"]}
    known = {hashlib.md5(c, usedforsecurity=False).hexdigest() for c in (SEEN, OTHER)}
    assert {md5 for md5, category in out.items() if category == "B"} == known and len(out) == 4
