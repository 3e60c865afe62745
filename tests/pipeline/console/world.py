"""A console to test: a home after a real night over sample packages, accounts of every role, and a server process."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import httpx
import sqlalchemy as sa

from pipeline.people import users
from pipeline.settings import ROOT, Settings
from pipeline.store.actors import Actor
from pipeline.store.duty_tables import Flag
from pipeline.store.opening import Store, open_store
from pipeline.store.tables import Notification

PASSWORD = "correct horse battery"
ADMIN = Actor("admin", "Admin", frozenset({"administrator"}))
PEOPLE = {
    "ana": ("Ana Analyst", ["analyst"], []),
    "ben": ("Ben Analyst", ["analyst"], []),
    "sue": ("Sue Supervisor", ["supervisor"], ["ucol"]),
    "dan": ("Dan Examiner", ["dmi"], []),
    "aud": ("Aud Auditor", ["auditor"], []),
}
"""Accounts beside the administrator: name, roles, compartments. One for each role, two analysts."""


def cheap_policy(folder: Path) -> Path:
    """A copy of the policy with password hashes that cost little, for tests that sign in many times."""
    target = folder / "policy"
    shutil.copytree(ROOT / "policy", target)
    text = (target / "cases.yaml").read_text()
    (target / "cases.yaml").write_text(
        text.replace("memory_kib: 65536", "memory_kib: 8192").replace("time_cost: 3", "time_cost: 1")
    )
    return target


def add_people(store: Store) -> None:
    """The accounts of PEOPLE and an administrator, all with PASSWORD."""
    with store.session() as session:
        users.first(session, "admin", "Admin", PASSWORD)
        for name, (shown, roles, compartments) in PEOPLE.items():
            users.add(session, ADMIN, name, shown, roles=roles, compartments=compartments, password=PASSWORD)


def run_night(settings: Settings, referrals: int = 24) -> None:
    """Sample packages and a hash set, a release, and a night over them, by the real commands."""
    env = {
        "PATH": os.environ["PATH"],
        "TRIAGE_HOME": str(settings.home),
        "TRIAGE_POLICY": str(settings.policy),
        "TRIAGE_THREADS": "2",
        "TRIAGE_LOG_LEVEL": "WARNING",
        "TRIAGE_MEMORY_MB": "1024",
        "TRIAGE_FORCE": settings.force,
    }
    for command in (
        ["sample", "--seed", "7", "--referrals", str(referrals), "--day", "2026-11-20"],
        ["hashset", "import"],
        ["night", "run"],
        ["export", "reporting"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", *command],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            timeout=1200,
        )
        if done.returncode:
            raise RuntimeError(f"triage {' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}")


def copy_home(source: Settings, target: Path) -> Settings:
    """A home of one's own, to change."""
    shutil.copytree(source.home, target)
    return replace(source, home=target)


@contextmanager
def server(settings: Settings, workers: int = 1) -> Iterator[str]:
    """A console process on a free port of the loopback address; yields its address."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {
        "PATH": os.environ["PATH"],
        "TRIAGE_HOME": str(settings.home),
        "TRIAGE_POLICY": str(settings.policy),
        "TRIAGE_FORCE": settings.force,
        "TRIAGE_LOG_LEVEL": "WARNING",
    }
    command = [sys.executable, "-m", "pipeline", "console", "--port", str(port), "--workers", str(workers)]
    with tempfile.TemporaryFile("w+") as said:  # a pipe that nobody reads would stop a server that says much
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=said, text=True)
        address = f"http://127.0.0.1:{port}"
        try:
            _wait_for(address, process, said)
            yield address
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(address: str, process: subprocess.Popen[str], said: IO[str], seconds: float = 180) -> None:
    """Until the server answers. Raises RuntimeError with what it said when it ends or takes too long."""
    until = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < until:
        try:
            if httpx.get(f"{address}/health", timeout=10).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    said.seek(0)
    raise RuntimeError(f"The console did not start:\n{said.read()[-3000:]}")


def at(home: Path, policy: Path | None = None) -> Settings:
    """Settings of such a home."""
    return Settings(home=home, threads=2, memory_mb=1024, force="ZZ", **({"policy": policy} if policy else {}))


def prepared(home: Path, referrals: int = 24, policy: Path | None = None) -> Settings:
    """A home after a night, with accounts."""
    settings = at(home, policy)
    run_night(settings, referrals)
    store = open_store(settings)
    try:
        add_people(store)
    finally:
        store.close()
    return settings


def settle_duties(store: Store, number: str) -> None:
    """Every notification of a case made and every flag of it acknowledged, so that it may leave."""
    with store.session() as session:
        moment = store.clock()
        made = {"made_at": moment, "made_by": "ana", "recipient": "[synthetic office]", "reason_code": "made"}
        session.execute(sa.update(Notification).where(Notification.case_id == number).values(**made))
        told = {"told_to": "[synthetic officer]", "told_by": "ana", "told_at": moment}
        told |= {"waiting": False, "acknowledged_by": "ana", "acknowledged_at": moment}
        session.execute(sa.update(Flag).where(Flag.case_id == number).values(**told))
