"""A night on two machines that share nothing but the case store's PostgreSQL and a bucket: the same tables as on one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.errors import DependencyError
from pipeline.night import sharing
from pipeline.settings import ROOT, Settings
from tests.bucket import bucket
from tests.pipeline.cases.conftest import SERVER, _administer

__all__ = ["bucket"]

AS_OF = "2026-11-21T01:00:00+00:00"
MACHINE = """
import json, sys
from pipeline.night import stages
for line in sys.stdin:
    name, *given = json.loads(line)
    print(json.dumps(getattr(stages, name)(*given)), flush=True)
"""
LISTED = """
import json, sys
from pipeline import records
from pipeline.lake import Lake
from pipeline.settings import Settings
lake = Lake.of(Settings.load())
print(json.dumps({t: sorted(map(repr, lake.read(t).to_pylist())) for t in records.tables()}))
"""


class Machine:
    """One machine's own process: it is asked for pieces of work and answers when they are done."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.process = subprocess.Popen(
            [sys.executable, "-c", MACHINE], cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )  # fmt: skip

    def begin(self, *work: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(work) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def does(self, *work: Any) -> Any:
        self.begin(*work)
        return self.answer()

    def end(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait(timeout=60) == 0


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TRIAGE", "AWS"))}
    return {**kept, "TRIAGE_HOME": str(home), "TRIAGE_SHARD_FILES": "8", "TRIAGE_LOG_LEVEL": "ERROR", **more}


def triage(environment: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1800
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def night(first: Machine, second: Machine) -> dict[str, int]:
    """A release and a night, every piece of work on another machine than the one before it, shards on both at once."""
    turn = 0
    both = (first, second)

    def does(*work: Any) -> Any:
        nonlocal turn
        turn += 1
        return both[turn % 2].does(*work)

    does("begin", "n", AS_OF)
    for stage in ("hashset_import", "hashset_build", "hashset_release", "ingest"):
        does("stage", stage, "n")
    counted = {}
    for stage in ("fingerprint", "match"):
        shards = [shard for bundle in does("plan", stage, "n") for shard in bundle]
        counted[stage] = len(shards)
        for machine, half in zip(both, (shards[::2], shards[1::2]), strict=True):
            machine.begin("bundle", stage, "n", half)
        for machine in both:
            machine.answer()
        assert does("plan", stage, "n") == [], "nothing is left to do, whichever machine is asked"
    for stage in ("flood", "assess", "publish", "reporting", "reconcile"):
        counted[stage] = does("stage", stage, "n")["read"]
    return counted


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    """What arrived: each machine reads it at its own mount."""
    home = tmp_path / "samples"
    triage(environment(home), "sample", "--seed", "5", "--referrals", "10", "--day", "2026-11-20")
    return home / "landing"


@pytest.fixture
def case_store() -> Iterator[str]:
    name = f"triage_{uuid.uuid4().hex}"
    _administer(SERVER, f'CREATE DATABASE "{name}"')
    yield sa.make_url(SERVER).set(database=name).render_as_string(hide_password=False)
    _administer(SERVER, f'DROP DATABASE "{name}" WITH (FORCE)')


def tables(environment: dict[str, str]) -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", LISTED], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not SERVER, reason="TRIAGE_TEST_POSTGRESQL is not set")
def test_two_machines_with_nothing_in_common_but_a_bucket_and_postgresql(
    tmp_path: Path, landing: Path, bucket: dict[str, str], case_store: str
) -> None:
    alone = Machine(environment(tmp_path / "alone", TRIAGE_LANDING=str(landing)))
    expected = night(alone, alone)
    alone.end()
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(range(32)))
    common = {
        **bucket, "TRIAGE_LAKE": "s3://lake/lake", "TRIAGE_SHARED": "s3://lake/home", "TRIAGE_CASES_URL": case_store,
        "TRIAGE_SECRET_FILE": str(secret),
    }  # fmt: skip
    machines = []
    for name in ("a", "b"):
        mount = shutil.copytree(landing, tmp_path / f"landing-{name}")
        machines.append(Machine(environment(tmp_path / name, TRIAGE_LANDING=str(mount), **common)))
    assert night(*machines) == expected and expected["fingerprint"] > 2
    for machine in machines:
        machine.end()
    third = environment(tmp_path / "third", **common)
    assert tables(third) == tables(alone.environment)
    assert json.loads(triage(third, "hashset", "releases", "--format", "json"))[0]["release"] == 1
    assert triage(third, "night", "report", "--run-id", "n", "--json") and '"state":"reconciled"' in triage(
        third, "status"
    )
    assert triage(third, "index", "verify")
    for folder in ("quarantine", "reporting"):
        names = {p.relative_to(tmp_path / "alone") for p in (tmp_path / "alone" / folder).glob("*.*")}
        assert names and all((tmp_path / "third" / name).is_file() for name in names)


def settings(tmp_path: Path, name: str) -> Settings:
    return Settings(home=tmp_path / name, shared=str(tmp_path / "store"))


def test_what_a_failed_piece_of_work_left_is_sent_and_its_error_stays(tmp_path: Path) -> None:
    a, b = settings(tmp_path, "a"), settings(tmp_path, "b")
    run = a.runs_dir / "n"
    with pytest.raises(ValueError, match="of the work"), sharing.of_stage(a, "ingest", "n"):
        run.mkdir(parents=True)
        (run / "run.json").write_text("{}")
        (a.runs_dir / "another").mkdir()
        (a.runs_dir / "another" / "run.json").write_text("of another run, which nobody sends here")
        raise ValueError("of the work")
    assert sharing.bring(b) == 1 and (b.runs_dir / "n" / "run.json").read_text() == "{}"
    with sharing.of_command(a):
        pass
    assert sharing.bring(b) == 1 and (b.runs_dir / "another" / "run.json").is_file()


def test_without_the_setting_nothing_is_done(tmp_path: Path) -> None:
    alone = Settings(home=tmp_path / "home")
    with sharing.of_stage(alone, "ingest", "n"):
        pass
    assert sharing.bring(alone) == 0 and not alone.home.exists()


def test_a_store_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    a = settings(tmp_path, "a")
    (tmp_path / "store").write_text("a file where a folder should be")
    with (
        pytest.raises(DependencyError, match=r"Files cannot be shared.*TRIAGE_SHARED"),
        sharing.of_stage(a, "ingest", "n"),
    ):
        a.runs_dir.joinpath("n").mkdir(parents=True)
        a.runs_dir.joinpath("n", "run.json").write_text("{}")


def test_every_stage_that_is_named_exists() -> None:
    from pipeline.night.stages import EXTRA, STAGES

    assert set(sharing.WRITTEN) - {"erase"} <= {stage.name for stage in (*STAGES, *EXTRA)}
