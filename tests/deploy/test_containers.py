"""The deployment as real containers: docker-compose.yml carried out by runc, the guide's own commands from an empty folder.

Needs root, runc, iproute2, tini, and Debian's PostgreSQL, Redis and nginx (.ci/run installs them); elsewhere it is skipped.
The night runs over Celery with two workers while a worker, the broker and the database are killed; the same referrals
through `triage night run`, undisturbed and without Airflow, give the tables that it must end with.
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import make_url

from pipeline.settings import ROOT
from tests import sharing
from tests.deploy import guide
from tests.deploy.engine import images, shim
from tests.deploy.engine.engine import Engine, Failed
from tests.deploy.engine.network import inside
from tests.pipeline.console.client import token_of

NEEDED = ("runc", "ip", "tini", "redis-server", "nginx", "curl", "openssl")
START, ACCOUNT, TRIAL = range(3)
"""The blocks of commands in the guide's section."""

TABLES = """
import hashlib, json, sys
from pipeline import records
from pipeline.lake import Lake
from pipeline.settings import Settings
lake = Lake.of(Settings.load()) if hasattr(Lake, "of") else Lake(Settings.load().lake_dir)
found = {}
for name in records.tables():
    rows = sorted(map(repr, lake.read(name).to_pylist()))
    found[name] = [len(rows), hashlib.sha256("\\n".join(rows).encode("utf-8", "surrogatepass")).hexdigest()]
json.dump(found, sys.stdout)
"""
"""Run in a container: number and SHA-256 of the rows of every table of the lake."""

CLOCK = {"run_id": "trial", "as_of": "2026-11-21T01:00:00+00:00"}


class Server:
    """An empty folder on a server, into which the release was unpacked."""

    def __init__(self, work: Path, kernels: Path) -> None:
        self.folder = work / "server"
        self.engine = Engine(self.folder, work, ROOT / ".venv", kernels)
        self.database: psycopg.Connection[tuple[Any, ...]] | None = None
        unpack(self.folder)
        docker = work / "bin" / "docker"
        docker.parent.mkdir()
        docker.write_text(f'#!/bin/sh\nexec {sys.executable} -m tests.deploy.engine.shim {work / "socket"} "$@"\n')
        docker.chmod(0o755)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("TRIAGE", "AIRFLOW"))}
        self.environment |= {"PATH": f"{docker.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        self.listener = shim.serve(self.engine, work / "socket")

    def type(self, lines: list[str]) -> str:
        """Type the lines of the guide into a shell in the folder; a command that fails ends it."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{lines}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def inside(self, service: str, *command: str) -> str:
        """What a command in a service's first container prints; it must succeed."""
        return self.type([f"docker compose exec {service} {' '.join(command)}"])

    def python(self, service: str, code: str, **environment: str) -> str:
        """What Python code prints in a container of its own, from the service's image and with its volumes."""
        words = ["env", *(f"{k}={v}" for k, v in environment.items()), "python", "-c", code]
        done = self.engine.run(self.environment, service, words)
        assert done.returncode == 0, done.stderr.decode()[-3000:]
        return done.stdout.decode()

    def until(self, what: str, true: Callable[[], bool], seconds: int = 1800) -> None:
        """Wait for it; the states and the ends of all logs are shown when it does not come."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if true():
                return
            time.sleep(0.5)
        logs = "\n".join(f"== {name}\n{self.engine.tail(name, 15)}" for name in self.engine.containers)
        pytest.fail(f"not within {seconds} s: {what}\n{self.engine.states()}\n{logs}")

    def sql(self, query: str) -> list[list[Any]]:
        """Rows of Airflow's own database, asked from inside its container; none while it is away."""
        try:
            if self.database is None:
                secret = (self.folder / "secrets" / "airflow_db_url").read_text().strip()
                address = make_url(secret).set(drivername="postgresql", host="127.0.0.1")
                with inside(self.engine.containers["postgres-1"].namespace):
                    self.database = psycopg.connect(
                        address.render_as_string(hide_password=False), autocommit=True, connect_timeout=30
                    )
            return [list(row) for row in self.database.execute(query.encode()).fetchall()]
        except psycopg.OperationalError:
            self.database = None
            return []

    def close(self) -> None:
        if self.database is not None:
            self.database.close()
        self.listener.close()
        self.engine.close()


def unpack(folder: Path) -> None:
    """The tracked files of the repository, as a release's archive has them."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file() and not name.startswith(("tests/", "bench/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def missing() -> str:
    """Why containers cannot be run here; empty when they can."""
    if os.geteuid() != 0:
        return "containers of runc are run as root"
    gone = [n for n in NEEDED if not (shutil.which(n) or shutil.which(n, path="/usr/sbin"))]
    gone += [] if list(Path("/usr/lib/postgresql").glob("*/bin")) else ["PostgreSQL"]
    return f"not installed: {', '.join(gone)}" if gone else ""


def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with every kernel, compiled for this processor once for all tests of the run."""
    command = [sys.executable, "-m", "deploy.kernels"]
    sharing.once(tmp_path_factory, sharing.ALL_KERNELS, lambda _: subprocess.run(command, cwd=ROOT, check=True))
    return Path(os.environ["NUMBA_CACHE_DIR"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Everything up, by the guide's first block."""
    if reason := missing():
        pytest.skip(reason)
    before = os.umask(0o022)  # as a shell has it; tests that load settings before make files private
    made = Server(tmp_path_factory.mktemp("containers"), compiled(tmp_path_factory))
    try:
        folder, settings, *rest = guide.commands("From nothing to a night")[START]
        made.type([folder, settings])
        # a killed worker's tasks are taken up sooner than in two minutes, so that the test is not mostly waiting; and later than a
        # task of a machine with much to do may be silent, which at 20 s was seen
        with (made.folder / ".env").open("a") as file:
            file.write("TRIAGE_HEARTBEAT_SECONDS=30\n")
        made.type(rest)
        yield made
    finally:
        made.close()
        os.umask(before)


pytestmark = [pytest.mark.slow, pytest.mark.airflow, pytest.mark.timeout(2700)]


def test_everything_is_healthy_and_every_secret_has_its_readers(server: Server) -> None:
    good = {"healthy", "exited (0)"}
    server.until("all services are healthy", lambda: set(server.engine.states().values()) == good)
    assert server.engine.states()["airflow-init-1"] == "exited (0)"
    for path in (server.folder / "secrets").iterdir():
        assert (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o777) == (0, 10001, 0o440), path.name
    assert {made.starts for made in server.engine.containers.values()} == {1}
    kept = server.engine.work / "volumes" / "lake" / "cache" / "numba"
    left = kept / images.named(Path("/opt/triage/pipeline/matching") / images.COMPILED_THERE)
    assert any(left.glob("*.nbc")), "airflow-init compiled what was missing"
    assert {path.stat().st_uid for path in kept.rglob("*")} == {10001}


def test_the_first_account_signs_in_through_the_proxy(server: Server) -> None:
    server.type(guide.commands("From nothing to a night")[ACCOUNT])
    password = (server.folder / "first-password").read_text().strip()
    trusted = ssl.create_default_context(cafile=str(server.folder / "secrets" / "tls_certificate"))
    console = f"https://localhost:{server.engine.ports['127.0.0.1:8443:8443']}"
    with httpx.Client(base_url=console, verify=trusted, timeout=300) as browser:
        entered = {"name": "ada", "password": password, "csrf": token_of(browser.get("/sign-in"))}
        answer = browser.post("/sign-in", data=entered)
        assert answer.status_code == 303, answer.text
        assert "Secure" in answer.headers["set-cookie"] and "HttpOnly" in answer.headers["set-cookie"]
        page = browser.get(answer.headers["location"], follow_redirects=True)
        assert page.status_code == 200 and "Ada Admin" in page.text


def test_airflow_sets_its_cookies_for_https_only(server: Server) -> None:
    trusted = ssl.create_default_context(cafile=str(server.folder / "secrets" / "tls_certificate"))
    address = f"https://localhost:{server.engine.ports['127.0.0.1:8444:8444']}"
    with httpx.Client(base_url=address, verify=trusted, timeout=300) as browser:
        form = browser.get("/auth/login/")
        token = form.text.split('name="csrf_token"')[1].split('value="')[1].split('"')[0]
        password = (server.folder / "secrets" / "airflow_admin_password").read_text().strip()
        entered = {"username": "operator", "password": password, "csrf_token": token}
        answer = browser.post("/auth/login/", data=entered, headers={"referer": f"{address}/auth/login/"})
        cookies = [*form.headers.get_list("set-cookie"), *answer.headers.get_list("set-cookie")]
        assert answer.status_code == 302 and cookies
        for cookie in cookies:
            assert "secure" in cookie.lower(), cookie.split("=")[0]


def test_a_night_over_two_workers_outlives_the_death_of_a_worker_the_broker_and_the_database(server: Server) -> None:
    first, trigger, *_ = guide.commands("From nothing to a night")[TRIAL]
    ended = "SELECT state FROM dag_run WHERE dag_id = '{}'"
    # the night of the last 01:00 runs at once; with it out of the way the trial finds everything there is
    server.until("the first night", lambda: ["success"] in server.sql(ended.format("nightly_triage")))
    server.type([first])
    reference = {"TRIAGE_HOME": "/srv/triage/reference", "TRIAGE_CASES_URL_FILE": "", "TRIAGE_SECRET_FILE": ""}
    stages = "; ".join(f"nightly.stage('{s}', 'release')" for s in ("hashset_import", "hashset_release"))
    begin = f"from pipeline.night import stages as nightly; nightly.begin('release', '{CLOCK['as_of']}'); {stages}"
    night = f"from pipeline.cli import main; main(['night', 'run', '--run-id', 'trial', '--as-of', '{CLOCK['as_of'].replace('+00:00', '+0000')}'])"
    # the night to compare with, in the minute that the watcher takes to see the hash set: nothing is killed yet
    with ThreadPoolExecutor(1) as beside:
        undisturbed = beside.submit(
            lambda: [server.python("airflow-worker", code, **reference) for code in (begin, night)]
        )
        for dag in ("hashset_refresh", "retro_match"):  # the watcher sees the hash set, its release starts the second
            server.until(f"{dag} has run", lambda dag=dag: ["success"] in server.sql(ended.format(dag)))  # type: ignore[misc]
        assert "DIFFERS" not in undisturbed.result()[1]
    server.type([f"{trigger} --conf '{json.dumps(CLOCK)}'"])
    hit: set[str] = set()
    deaths = dict.fromkeys(("ingest", "plan_fingerprint", "fingerprint"), "worker")
    deaths |= dict.fromkeys(("plan_match", "match", "flood"), "redis-1")
    deaths |= dict.fromkeys(("assess", "publish", "reporting"), "postgres-1")

    def finished() -> bool:
        rows = server.sql(
            "SELECT task_id, hostname FROM task_instance WHERE run_id = 'trial' AND state = 'running' AND dag_id = 'nightly_triage'"
        )
        for task, host in rows:
            name = deaths.get(str(task))
            if name is not None and name not in hit:
                hit.add(name)
                victim = name if name != "worker" else container_of(server, str(host))
                server.engine.crash(victim)
        state = server.sql("SELECT state FROM dag_run WHERE run_id = 'trial' AND dag_id = 'nightly_triage'")
        assert state != [["failed"]], server.engine.tail("airflow-scheduler-1", 60)
        return state == [["success"]]

    server.until("the night has ended well", finished, 1800)
    assert hit == {"worker", "redis-1", "postgres-1"}
    workers = server.sql(
        "SELECT DISTINCT hostname FROM task_instance WHERE dag_id = 'nightly_triage' AND hostname <> ''"
    )
    assert len(workers) == 2, workers
    assert "Everything that came in is accounted for." in server.inside(
        "airflow-worker", "triage night report --run-id trial"
    )
    expected = json.loads(server.python("airflow-worker", TABLES, **reference))
    found = json.loads(server.python("airflow-worker", TABLES))
    assert {name: rows for name, rows in found.items() if rows != expected[name]} == {}
    assert expected["referrals"][0] > 5 and expected["matches"][0] > 0


def container_of(server: Server, host: str) -> str:
    return next(c.name for c in server.engine.containers.values() if c.identity == host)


class TestBlockersPutBack:
    """Each fault that once kept the deployment from starting, put back on purpose, keeps its service from starting."""

    @pytest.mark.parametrize("service", ["postgres", "redis", "proxy"])
    def test_a_service_outside_the_group_cannot_read_its_secrets(self, server: Server, service: str) -> None:
        code = "for f in /run/secrets/*; do cat $f >/dev/null || exit 77; done"
        look = ["sh", "-c", code]
        assert server.engine.run(server.environment, service, look, entry=[]).returncode == 0
        assert server.engine.run(server.environment, service, look, entry=[], group_add=[]).returncode == 77

    def test_the_console_without_the_folder_for_its_cache_does_not_start(self, server: Server) -> None:
        volumes = server.engine.work / "volumes"
        kept = (volumes / "lake").rename(volumes / "lake-kept")
        try:
            (volumes / "lake").mkdir()
            done = server.engine.run(server.environment, "console", ["true"])
            assert done.returncode != 0 and b"console: read-only file system" in done.stderr
        finally:
            shutil.rmtree(volumes / "lake")
            kept.rename(volumes / "lake")
        assert server.engine.run(server.environment, "console", ["true"]).returncode == 0

    def test_without_its_setting_nothing_starts(self, server: Server) -> None:
        (server.folder / ".env").rename(server.folder / ".env-kept")
        try:
            with pytest.raises(Failed, match="TRIAGE_LANDING_DIR"):
                server.engine.up(server.environment, {})
        finally:
            (server.folder / ".env-kept").rename(server.folder / ".env")

    def test_an_image_by_tag_is_refused(self, server: Server) -> None:
        assert "@sha256:" in (server.folder / ".env").read_text()
        done = server.engine.run(
            {**server.environment, "TRIAGE_REDIS_IMAGE": "redis:7.2-bookworm"},
            "airflow-init",
            ["python", "-m", "deploy.init"],
        )
        assert done.returncode == 1 and b"named by a tag: redis:7.2-bookworm" in done.stderr
