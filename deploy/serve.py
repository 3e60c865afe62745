"""`make serve`: the console and Airflow (scheduler, triggerer, web UI) on this machine, until Ctrl-C.

For trying things out and for one force on one machine. The real deployment is docker-compose.yml.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from deploy.embedded import environment
from pipeline.orchestration import WRITER_POOL
from pipeline.settings import Settings

BIN = Path(sys.executable).parent


def main() -> int:
    """Start both, restart neither: when one ends, the other is stopped and the exit code passed on."""
    settings = Settings.load()
    port = os.environ.get("AIRFLOW_PORT", "8080")
    env = {
        **os.environ,
        **environment(settings.home),
        "PATH": f"{BIN}:{os.environ.get('PATH', '')}",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": port,
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__WORKERS": "1",
    }
    Path(env["AIRFLOW_HOME"]).mkdir(parents=True, exist_ok=True)
    airflow = str(BIN / "airflow")
    subprocess.run([airflow, "db", "migrate"], env=env, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(
        [airflow, "pools", "set", WRITER_POOL, "1", "Stages that write one home"],
        env=env,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    processes = [
        subprocess.Popen([airflow, "standalone"], env=env, start_new_session=True),
        subprocess.Popen([str(BIN / "triage"), "console"], env=env, start_new_session=True),
    ]
    say(
        f"Console   http://{settings.console_host}:{settings.console_port}   (accounts: triage users add NAME --role analyst)"
    )
    say(
        f"Airflow   http://127.0.0.1:{port}   (the operator's password is printed above and kept in {env['AIRFLOW_HOME']})"
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        while all(p.poll() is None for p in processes):
            time.sleep(0.5)
        return next(p.returncode for p in processes if p.poll() is not None) or 1
    except KeyboardInterrupt:
        return 0
    finally:
        for process in processes:
            stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process and everything it started; airflow standalone takes up to half a minute."""
    for how, patience in ((signal.SIGTERM, 40), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, how)
        except ProcessLookupError:
            return
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue


def say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
