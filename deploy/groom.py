"""`python -m deploy.groom`: once a day, old task logs and old rows of Airflow's own database go (`--once`: now, and end).

The table `trigger` is left out: `airflow db clean` deletes the row of the asset watcher too, and nothing starts
hashset_refresh from then on until the DAG processor has read the DAGs anew. Nothing of the product's own data is touched.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

DAY = 24 * 3600.0
DONE = Path("/tmp/groomed")  # noqa: S108 - the container's own tmpfs; the health check looks at its age
TABLES = (
    "asset_event", "callback", "celery_taskmeta", "celery_tasksetmeta", "dag_run", "deadline", "import_error", "job", "log",
    "revoked_token", "task_instance", "task_instance_history", "task_reschedule", "xcom",
)  # fmt: skip
"""Tables of Airflow that grow with every run; `trigger` is not among them."""


def days(name: str, default: int) -> int:
    """A number of days from the environment. Raises SystemExit for what is no number above zero."""
    text = os.environ.get(name) or str(default)
    if not text.isdigit() or int(text) == 0:
        raise SystemExit(f"{name}={text!r} is no number of days.")
    return int(text)


def old_logs(folder: Path, keep: int, now: float) -> int:
    """Delete files of the log folder that nothing has written to for `keep` days, and folders left empty; returns how many files."""
    gone = 0
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_symlink() or path.is_file():
            if now - path.lstat().st_mtime > keep * DAY:
                path.unlink()
                gone += 1
        elif not any(path.iterdir()):
            path.rmdir()
    return gone


def old_rows(keep: int, now: datetime) -> None:
    """`airflow db clean` for the tables that grow, without an archive. Raises SystemExit with what it said."""
    before = (now - timedelta(days=keep)).isoformat()
    command = [
        sys.executable,
        "-m",
        "airflow",
        "db",
        "clean",
        "--yes",
        "--skip-archive",
        "--clean-before-timestamp",
        before,
    ]
    done = subprocess.run([*command, "--tables", ",".join(TABLES)], check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"airflow db clean failed:\n{done.stderr[-2000:]}")


def main(arguments: list[str]) -> None:
    """Groom at once, then once a day."""
    logs = Path(os.environ.get("AIRFLOW__LOGGING__BASE_LOG_FOLDER", "/srv/logs"))
    keep_logs, keep_rows = days("LOG_DAYS", 30), days("DATABASE_DAYS", 90)
    while True:
        gone = old_logs(logs, keep_logs, time.time())
        old_rows(keep_rows, datetime.now(UTC))
        DONE.touch()
        sys.stdout.write(f"{gone} old log files deleted; rows of Airflow older than {keep_rows} days are gone.\n")
        if "--once" in arguments:
            return
        time.sleep(DAY)


if __name__ == "__main__":
    main(sys.argv[1:])
