"""`make serve`: console and Airflow come up on loopback, let somebody sign in, and end with Ctrl-C without a trace."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from pipeline.settings import ROOT

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.timeout(3600)]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def remaining(mark: str) -> list[str]:
    """Command lines of processes that have `mark` in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def test_it_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    console, airflow, mark = free_port(), free_port(), f"SERVE_MARK={tmp_path}"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TRIAGE", "AIRFLOW"))}
    ports = {name: str(free_port()) for name in ("WORKER_LOG_SERVER_PORT", "TRIGGER_LOG_SERVER_PORT")}
    environment = {
        **kept,
        **{f"AIRFLOW__LOGGING__{name}": port for name, port in ports.items()},
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(free_port()),
        "TRIAGE_HOME": str(tmp_path / "home"),
        "TRIAGE_CONSOLE_PORT": str(console),
        "AIRFLOW_PORT": str(airflow),
        "SERVE_MARK": str(tmp_path),
    }
    said = tmp_path / "said.txt"
    with said.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy.serve"], cwd=ROOT, env=environment, stderr=file, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 600
        while "Ctrl-C" not in said.read_text() and time.monotonic() < deadline:
            assert process.poll() is None, said.read_text()
            time.sleep(0.5)
        text = said.read_text()
        assert f"http://127.0.0.1:{console}" in text and f"http://127.0.0.1:{airflow}" in text
        assert httpx.get(f"http://127.0.0.1:{console}/health", timeout=30).status_code == 200
        sign_in = httpx.get(f"http://127.0.0.1:{console}/", timeout=30, follow_redirects=True)
        assert sign_in.status_code == 200 and "password" in sign_in.text.lower()
        (password,) = re.findall(r"user admin, password (\S+)", text)
        token = httpx.post(
            f"http://127.0.0.1:{airflow}/auth/token", json={"username": "admin", "password": password}, timeout=300
        )
        assert token.status_code == 201 and token.json()["access_token"]
        wrong = httpx.post(
            f"http://127.0.0.1:{airflow}/auth/token", json={"username": "admin", "password": "no"}, timeout=300
        )
        assert wrong.status_code == 401
        process.send_signal(signal.SIGINT)
        assert process.wait(90) == 0, said.read_text()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(90)
    assert remaining(mark) == []
