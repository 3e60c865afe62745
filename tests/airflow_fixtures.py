"""Airflow for tests: its environment is set before anything imports it, its database is made once a session."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.embedded import environment

HOME = Path(tempfile.mkdtemp(prefix="triage-airflow-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
os.environ.update({k: v for k, v in environment(HOME).items() if k.startswith("AIRFLOW")})


@pytest.fixture(scope="session")
def airflow_home() -> Iterator[Path]:
    """Airflow imported and configured; no database yet."""
    import airflow  # noqa: F401

    yield HOME


@pytest.fixture(scope="session")
def airflow_db(airflow_home: Path) -> Path:
    """Airflow with its database and pool."""
    from deploy.embedded import prepare

    prepare()
    return airflow_home
