"""Airflow in one process on SQLite, as the demo and the tests use it: no service, no network, nothing left running.

`environment()` must be applied before the first import of airflow: it reads its configuration at import.
"""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def environment(home: Path) -> dict[str, str]:
    """Environment of an embedded Airflow whose own files lie in `home`/airflow and whose data in `home`."""
    airflow = home.resolve() / "airflow"
    return {
        "AIRFLOW_HOME": str(airflow),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{airflow / 'airflow.db'}",
        # nothing is stored encrypted in a database that lives for one run; a key of its own avoids a warning
        "AIRFLOW__CORE__FERNET_KEY": os.environ.get("AIRFLOW__CORE__FERNET_KEY")
        or kept(airflow / "fernet.key", base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": os.environ.get("AIRFLOW__LOGGING__LOGGING_LEVEL", "WARNING"),
        "TRIAGE_HOME": str(home.resolve()),
    }


def kept(path: Path, secret: str) -> str:
    """The secret in `path`; at first use it is made `secret`, readable by its owner only."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secret)
    return path.read_text()


def prepare() -> None:
    """Create Airflow's own database and the writers' pool. Needs `environment()` in force."""
    Path(os.environ["AIRFLOW_HOME"]).mkdir(parents=True, exist_ok=True)
    from airflow.models.pool import Pool
    from airflow.utils.db import initdb

    from pipeline.night.orchestration import WRITER_POOL

    initdb()
    Pool.create_or_update_pool(WRITER_POOL, slots=1, description="Stages that write one home", include_deferred=False)


def run_dag(dag_id: str, conf: dict[str, Any] | None = None) -> str:
    """Run a DAG to its end in this process; returns its state (success, failed)."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag()
    if bag.import_errors:
        raise RuntimeError(f"DAGs do not load: {bag.import_errors}")
    run = bag.dags[dag_id].test(run_conf=conf or {})
    return str(run.state)
