"""Health checks of docker-compose.yml: `python -m deploy.alive url URL`, `... job TYPE`, `... worker`. A tenth of a second each.

Airflow's own `airflow jobs check` and `celery inspect` import all of Airflow each time, which is seconds of CPU a minute
and a service. This module imports nothing of the product.
"""

from __future__ import annotations

import os
import socket
import sys
import time
import urllib.request
from pathlib import Path

BEATS = 60
"""Seconds within which a component must have written its heartbeat (Airflow writes one every five)."""

QUERY = """
SELECT count(*) FROM job WHERE job_type = %s AND state = 'running' AND hostname = %s
AND latest_heartbeat > now() - make_interval(secs => %s)
"""


def url(address: str) -> bool:
    """Whether the address answers with success."""
    with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310 - an address of the compose file
        return bool(answer.status == 200)


def job(kind: str) -> bool:
    """Whether Airflow's job of that type on this host has a fresh heartbeat."""
    import psycopg

    address = secret("airflow_db_url").replace("postgresql+psycopg2://", "postgresql://", 1)
    with psycopg.connect(address, connect_timeout=5) as connection:
        row = connection.execute(QUERY, (kind, socket.getfqdn(), BEATS)).fetchone()
    return row is not None and row[0] > 0


def worker() -> bool:
    """Whether this host's Celery worker answers a ping through the broker."""
    from celery import Celery

    application = Celery(broker=secret("airflow_broker_url"))
    return bool(application.control.ping(destination=[f"celery@{socket.gethostname()}"], timeout=5))


def file(path: str, minutes: str) -> bool:
    """Whether the file was touched within the last so many minutes, as a service does that works in rounds."""
    return time.time() - Path(path).stat().st_mtime < 60 * float(minutes)


def secret(name: str) -> str:
    return (Path(os.environ.get("SECRETS", "/run/secrets")) / name).read_text().strip()


def main(arguments: list[str]) -> int:
    """0 when alive, 1 when not; the reason goes to standard error."""
    checks = {"url": url, "job": job, "worker": worker, "file": file}
    try:
        return 0 if checks[arguments[0]](*arguments[1:]) else 1  # type: ignore[operator]
    except Exception as error:  # noqa: BLE001 - whatever it is, the answer is "not alive", and the reason is printed
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
