"""Shared fixtures: settings in a temporary home, and the folder of real test files where there is one."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings

from pipeline.settings import ROOT, Settings
from tests import rewriting, sharing
from tests.airflow_fixtures import airflow_db, airflow_home

__all__ = ["airflow_db", "airflow_home"]

if "NUMBA_CACHE_DIR" not in os.environ:
    # One folder for all workers of a run and every process that they start: kernels are compiled once, not once a home.
    os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(prefix="triage-kernels-")

    def remove(folder: str = os.environ["NUMBA_CACHE_DIR"], owner: int = os.getpid()) -> None:
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)

# Hypothesis fails an example that takes longer than 200 ms, which on a busy machine any example can.
hypothesis_settings.register_profile("untimed", deadline=None)
hypothesis_settings.load_profile("untimed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("dist", "no") != "no" or sharing.WORKER in os.environ:
        sharing.arrange(items)


# What collecting makes stays: looking again and again for what does not took a third of its time.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)  # tests make many objects and few cycles
    gc.enable()


def pytest_sessionstart(session: pytest.Session) -> None:
    if session.config.getoption("dist", "no") != "no":  # the process that only hands tests out collects none
        gc.enable()
    if given := getattr(session.config, "workerinput", None):
        rewriting.ahead(session.config, int(given["workerid"].removeprefix("gw")), given["workercount"])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    return sharing.workers()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object | None:
    if config.getoption("dist") != "loadgroup":
        return None
    from tests.scheduling import ByFile  # needs xdist, which a run in one process does without

    return ByFile(config, log)


@pytest.fixture(scope="session", autouse=True)
def kernels(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where tests run side by side, one worker compiles the matching kernels and the others load them."""
    if sharing.WORKER in os.environ:
        from pipeline.matching.core.compiled.warm import warm

        def compiled(_: Path) -> None:
            warm(16)
            warm(4)

        sharing.once(tmp_path_factory, "kernels", compiled)


HOLDS = "SELECT count(*) FROM sqlite_master"

NEED_MEDIA = ("dags", "deploy", "pipeline/fingerprint", "pipeline/night", "pipeline/matching/test_stage.py")
"""Tests that start media workers, which have kernels of their own."""


@pytest.fixture(scope="module", autouse=True)
def media_kernels(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The same for those of the media workers, where a file needs them: half a minute, in which the others go on."""
    file = request.path.relative_to(Path(__file__).parent)
    if sharing.WORKER in os.environ and any(file.is_relative_to(place) for place in NEED_MEDIA):
        command = [sys.executable, "-m", "deploy.kernels"]
        sharing.once(tmp_path_factory, sharing.ALL_KERNELS, lambda _: subprocess.run(command, cwd=ROOT, check=True))


@pytest.fixture(scope="session", autouse=True)
def migrated() -> Iterator[Callable[[Any], None]]:
    """New SQLite case stores are copies of the first one that the migrations made in this process: 4 CPU ms for 75.

    Stores that hold anything, PostgreSQL, and processes that a test starts run the migrations. So does what this yields.
    """
    from pipeline.store import opening

    run, lock, first = opening._migrate, threading.Lock(), sqlite3.connect(":memory:", check_same_thread=False)

    def copied(engine: Any) -> None:
        with closing(engine.raw_connection()) as pooled:
            new = engine.dialect.name == "sqlite" and not pooled.cursor().execute(HOLDS).fetchone()[0]
            with lock:
                if new and first.execute(HOLDS).fetchone()[0]:
                    first.backup(pooled.driver_connection)
                    return
        run(engine)
        if new:
            with lock, closing(engine.raw_connection()) as pooled:
                pooled.driver_connection.backup(first)

    opening._migrate = copied
    yield run
    opening._migrate = run
    first.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose home is this test's own folder."""
    return Settings(home=tmp_path / "home", threads=2)


@pytest.fixture(scope="session")
def corpora() -> Iterator[Path]:
    """Folder of real photographs, hostile files and published vectors; skips where TRIAGE_CORPORA is not set."""
    folder = os.environ.get("TRIAGE_CORPORA")
    if not folder:
        pytest.skip("TRIAGE_CORPORA is not set: real test files are not here")
    yield Path(folder).resolve()
