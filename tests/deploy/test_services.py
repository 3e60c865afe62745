"""The services of docker-compose.yml, started by hand on loopback with the same commands and settings.

Needs PostgreSQL (TRIAGE_TEST_POSTGRESQL) and redis-server. Airflow's components come up under Celery, the first night
runs through them on sample referrals, and the assets it emits start what depends on them.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import yaml

from deploy import secrets
from pipeline.settings import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
BIN = Path(sys.executable).parent
COMPONENTS = ("airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer", "airflow-worker")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Services:
    """The deployment's processes, each in a session of its own, with its output in a file."""

    def __init__(self, folder: Path, server: str) -> None:
        self.folder = folder
        self.server = sa.make_url(server)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.api, self.redis, self.health = free_port(), free_port(), free_port()
        for name in ("airflow", "cases"):
            self.make_database(f"services_{name}")
        self.write_secrets()
        self.environment = self.make_environment()

    def make_database(self, name: str) -> None:
        engine = sa.create_engine(self.server, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
            connection.execute(sa.text(f'CREATE DATABASE "{name}"'))
        engine.dispose()

    def write_secrets(self) -> None:
        """The deployment's own secrets, pointed at loopback."""
        made = self.folder / "secrets"
        secrets.main(made)
        password = (made / "redis_conf").read_text().rsplit("requirepass ", 1)[1].strip()
        airflow = self.server.set(drivername="postgresql+psycopg2", database="services_airflow")
        cases = self.server.set(drivername="postgresql+psycopg", database="services_cases")
        changed = {
            "redis_conf": f'bind 127.0.0.1\nport {self.redis}\nsave ""\ndir {self.folder}\nrequirepass {password}\n',
            "airflow_broker_url": f"redis://:{password}@127.0.0.1:{self.redis}/0",
            "airflow_db_url": airflow.render_as_string(False),
            "airflow_result_backend": "db+" + airflow.render_as_string(False),
            "cases_db_url": cases.render_as_string(False),
        }
        for name, content in changed.items():
            (made / name).unlink()
            (made / name).write_text(content)

    def make_environment(self) -> dict[str, str]:
        given = dict(COMPOSE["x-airflow"]["environment"])
        home = self.folder / "triage"
        swaps = {
            "/run/secrets": str(self.folder / "secrets"),
            "http://airflow-api-server:8080": f"http://127.0.0.1:{self.api}",
            "/opt/triage": str(ROOT),
            "/srv/triage": str(home),
            "${TRIAGE_SANDBOX:-auto}": "auto",
            "${TRIAGE_FORCE:-00}": "00",
        }
        for old, new in swaps.items():
            given = {key: value.replace(old, new) for key, value in given.items()}
        base = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "TRIAGE"))}
        extra = {
            "AIRFLOW_HOME": str(self.folder / "airflow"),
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(self.health),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "PATH": f"{BIN}:{base['PATH']}",
            "PYTHONPATH": str(ROOT),
            "C_FORCE_ROOT": "1",
        }
        return {**base, **given, **extra}

    def start(self, name: str, command: list[str]) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                command, env=self.environment, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def run(self, *command: str) -> str:
        done = subprocess.run(command, env=self.environment, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stderr[-3000:]}"
        return done.stdout

    def until(self, what: str, true: Callable[[], bool], seconds: int = 600) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            dead = {n: p.returncode for n, p in self.processes.items() if p.poll() is not None}
            assert not dead, f"{dead}: " + "".join((self.folder / f"{n}.log").read_text()[-2000:] for n in dead)
            if true():
                return
            time.sleep(1)
        logs = {n: (self.folder / f"{n}.log").read_text()[-1500:] for n in self.processes}
        pytest.fail(f"not within {seconds} s: {what}\n{logs}")

    def stop(self) -> None:
        for how in (signal.SIGTERM, signal.SIGKILL):
            for process in self.processes.values():
                try:
                    os.killpg(process.pid, how)
                except ProcessLookupError:
                    continue
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline and any(p.poll() is None for p in self.processes.values()):
                time.sleep(0.2)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    server = os.environ.get("TRIAGE_TEST_POSTGRESQL")
    redis = shutil.which("redis-server")
    if not server or redis is None:
        pytest.skip("TRIAGE_TEST_POSTGRESQL is not set or redis-server is not installed")
    stack = Services(tmp_path_factory.mktemp("services"), server)
    try:
        stack.start("redis", [redis, str(stack.folder / "secrets" / "redis_conf")])
        stack.run(
            sys.executable,
            "-c",
            f"from pathlib import Path; from deploy.init import main; main(Path({str(stack.folder / 'secrets' / 'airflow_admin_password')!r}))",
        )
        for name in COMPONENTS:
            command = [*COMPOSE["services"][name]["command"]]
            if name == "airflow-api-server":
                command = ["airflow", "api-server", "--host", "127.0.0.1", "--port", str(stack.api)]
            stack.start(name, [str(BIN / command[0]), *command[1:]])
        yield stack
    finally:
        stack.stop()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def states(stack: Services, dag: str, run: str = "%") -> list[str]:
    """The states of a DAG's runs whose id is like `run`, the oldest first."""
    url = stack.server.set(drivername="postgresql+psycopg2", database="services_airflow")
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        query = sa.text("SELECT state FROM dag_run WHERE dag_id = :dag AND run_id LIKE :run ORDER BY id")
        rows = connection.execute(query, {"dag": dag, "run": run})
        found = [str(r[0]) for r in rows]
    engine.dispose()
    return found


@pytest.mark.slow
@pytest.mark.airflow
@pytest.mark.postgresql
@pytest.mark.timeout(3000)
def test_a_night_runs_through_the_deployed_services(services: Services) -> None:
    health = COMPOSE["services"]["airflow-api-server"]["healthcheck"]["test"][-1]
    path = health.split("http://127.0.0.1:8080")[1].split("'")[0]
    services.until("the API server answers", lambda: answers(f"http://127.0.0.1:{services.api}{path}"))
    services.until("the scheduler answers", lambda: answers(f"http://127.0.0.1:{services.health}/health"))
    (services.folder / "password").write_text("synthetic password 1\n")
    own = pwd.getpwuid(os.getuid()).pw_name
    services.run(
        str(BIN / "triage"), "users", "first", own, "--name", "T", "--password-file", str(services.folder / "password")
    )
    services.run(
        str(BIN / "triage"),
        "users",
        "change",
        own,
        "--role",
        "administrator",
        "--role",
        "analyst",
        "--compartment",
        "ucol",
    )
    services.run(str(BIN / "triage"), "sample", "--seed", "7", "--referrals", "12")
    services.until(
        "the DAG processor has read the DAGs",
        lambda: "nightly_triage" in services.run(str(BIN / "airflow"), "dags", "list", "--output", "plain"),
    )
    # the hash set in the landing folder is seen by the watcher in the triggerer, which starts hashset_refresh
    services.until("hashset_refresh has run", lambda: "success" in states(services, "hashset_refresh"))
    services.run(str(BIN / "airflow"), "dags", "trigger", "nightly_triage", "--run-id", "by-hand")
    # by its own id: the scheduler runs the night of the last 01:00 as well, and may have done so before
    services.until("the night has run", lambda: states(services, "nightly_triage", "by-hand") == ["success"])
    services.until("retro_match has run on the new release", lambda: "success" in states(services, "retro_match"))
    report = services.run(str(BIN / "triage"), "night", "report")
    assert "Everything that came in is accounted for." in report
    assert services.run(str(BIN / "triage"), "queue", "list", "--format", "jsonl").strip()
