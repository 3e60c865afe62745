"""`make serve`: the console and Airflow (scheduler, triggerer, web UI) on this machine, until Ctrl-C.

For trying things out and for one force on one machine. The real deployment is docker-compose.yml.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from deploy.embedded import environment, kept
from pipeline.night.orchestration import WRITER_POOL
from pipeline.settings import Settings

BIN = Path(sys.executable).parent
AFTER_THE_API = ("scheduler", "dag-processor", "triggerer")
"""Components that run tasks or report to the API server: started when it answers, or their first tasks would fail."""
START_SECONDS = 300.0


def main() -> int:
    """Start all, restart none: when one ends, the others are stopped and its exit code passed on. Ctrl-C ends with 0."""
    settings = Settings.load()
    port = os.environ.get("AIRFLOW_PORT", "8080")
    env = served(settings.home, port)
    logs = Path(env["AIRFLOW_HOME"]) / "serve"
    logs.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs in its background without it
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        say("Starting the console and Airflow; half a minute, more the first time.")
        for words in (["db", "migrate"], ["pools", "set", WRITER_POOL, "1", "Stages that write one home"]):
            subprocess.run([str(BIN / "airflow"), *words], env=env, check=True, stdout=subprocess.DEVNULL)
        processes["console"] = start([str(BIN / "triage"), "console"], env, logs / "console.log")
        processes["api-server"] = start([str(BIN / "airflow"), "api-server"], env, logs / "api-server.log")
        wait(processes, logs, f"http://127.0.0.1:{port}/api/v2/monitor/health")
        wait(processes, logs, f"http://{settings.console_host}:{settings.console_port}/health")
        for name in AFTER_THE_API:
            processes[name] = start([str(BIN / "airflow"), name], env, logs / f"{name}.log")
        say(f"Console  http://{settings.console_host}:{settings.console_port}   {console_account(settings)}")
        say(f"Airflow  http://127.0.0.1:{port}   user admin, password {admin_password(Path(env['AIRFLOW_HOME']))}")
        say(f"Logs     {logs}   Ctrl-C ends all.")
        while True:
            check(processes, logs)
            time.sleep(0.5)
    except KeyboardInterrupt:
        say("Stopping.")
        return 0
    except Ended as ended:
        say(str(ended))
        return ended.code
    finally:
        stop(processes)


class Ended(Exception):  # noqa: N818 - not an error of ours: a service has ended
    """A service ended by itself."""

    def __init__(self, name: str, code: int, log: Path) -> None:
        last = log.read_text(errors="replace")[-1500:] if log.exists() else ""
        super().__init__(f"{name} ended with exit code {code}; the end of {log}:\n{last}")
        self.code = code or 1


def served(home: Path, port: str) -> dict[str, str]:
    """Environment of the services: all of Airflow on loopback, tasks in processes of this machine."""
    airflow = home.resolve() / "airflow"
    return {
        **os.environ,
        **environment(home),
        "PATH": f"{BIN}:{os.environ.get('PATH', '')}",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": port,
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": kept(airflow / "jwt.secret", secrets.token_urlsafe(64)),
    }


def start(command: list[str], env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """A service in a session of its own, so that Ctrl-C reaches only us; what it says goes to `log`."""
    with log.open("wb") as file:
        return subprocess.Popen(command, env=env, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)


def check(processes: dict[str, subprocess.Popen[bytes]], logs: Path) -> None:
    """Raise Ended for a service that is no longer there."""
    for name, process in processes.items():
        code = process.poll()
        if code is not None:
            raise Ended(name, code, logs / f"{name}.log")


def wait(processes: dict[str, subprocess.Popen[bytes]], logs: Path, url: str) -> None:
    """Until `url` answers. Raises Ended when a service ends before, SystemExit after five minutes."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        check(processes, logs)
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own address on loopback
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.5)
    raise SystemExit(f"{url} does not answer; see {logs}.")


def console_account(settings: Settings) -> str:
    """How to sign in to the console."""
    password = settings.home / "demo-password"
    if password.is_file():
        return f"user demo, password in {password}"
    return "make an account: triage users add NAME --role analyst"


def admin_password(airflow: Path) -> str:
    """Password of Airflow's only account, as its simple auth manager made it at its first start."""
    made = airflow / "simple_auth_manager_passwords.json.generated"
    return str(json.loads(made.read_text())["admin"])


def stop(processes: dict[str, subprocess.Popen[bytes]]) -> None:
    """End the services and everything they started: asked first, killed after 30 seconds."""
    for how, patience in ((signal.SIGTERM, 30.0), (signal.SIGKILL, 5.0)):
        for process in processes.values():
            try:
                os.killpg(process.pid, how)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and any(p.poll() is None for p in processes.values()):
            time.sleep(0.1)


def say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
