"""First task of the deployment: databases migrated, kernels compiled, the writers' pool made, the operator's account there.

Safe to run at every start.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from deploy.kernels import ready
from pipeline.kernelcache import IN_IMAGE
from pipeline.night.orchestration import WRITER_POOL
from pipeline.settings import Settings
from pipeline.store.opening import open_store

ADMIN_PASSWORD = Path("/run/secrets/airflow_admin_password")


def main(admin_password: Path = ADMIN_PASSWORD) -> None:
    """Run every step; a failing one ends the container with its error."""
    check_pinned(os.environ)
    settings = Settings.load()
    # the last is where the console's tmpfs is mounted: its own volume is read-only, so it could not make it
    local = (
        settings.lake_dir,
        settings.releases_dir,
        settings.quarantine_dir,
        settings.runs_dir,
        settings.home / "console",
    )
    for folder in local:
        if isinstance(folder, Path):
            folder.mkdir(parents=True, exist_ok=True)
    open_store(settings)
    # Airflow's commands are processes of their own: they need a core, the kernels another
    with ThreadPoolExecutor(1) as beside:
        prepared = beside.submit(prepare_airflow, admin_password)
        compile_kernels(settings)
        prepared.result()


def prepare_airflow(admin_password: Path) -> None:
    """Airflow's database migrated, the writers' pool set, the operator's account made where it is not there."""
    airflow("db", "migrate")
    airflow("pools", "set", WRITER_POOL, "1", "Stages that write one home")
    password = admin_password.read_text().strip()
    # an account that is there is left as it is, with the password that it has
    create = ["users", "create", "--username", "operator", "--firstname", "Nightly", "--lastname", "Operator"]
    # typed at its prompts, as a person would: an argument can be read by every process of the machine
    airflow(*create, "--role", "Admin", "--email", "operator@localhost", answers=f"{password}\n{password}\n")


def check_pinned(environment: Mapping[str, str]) -> None:
    """End with an error while an image that somebody else makes is named by a tag: what a tag means changes without notice.

    docker-compose.yml gives the names as DEPLOYED_<SERVICE>; a deployment that gives none pins its images by its own means.
    """
    named = {k: v for k, v in environment.items() if k.startswith("DEPLOYED_") and k != "DEPLOYED_UNPINNED"}
    by_tag = sorted(name for name in named.values() if not re.fullmatch(r".+@sha256:[0-9a-f]{64}", name))
    if by_tag and environment.get("DEPLOYED_UNPINNED") != "yes":
        raise SystemExit(
            f"Images named by a tag: {', '.join(by_tag)}. Run `sh deploy/pin.sh`, which writes their digests into .env, and start "
            "again; for a trial, TRIAGE_UNPINNED=yes in .env."
        )


def compile_kernels(settings: Settings) -> None:
    """Make every kernel ready: loaded from the image where it has them for this kind of processor, else compiled into
    NUMBA_CACHE_DIR, from where all services load them. The first night begins with them ready. A worker with another kind of
    processor, that the image does not have either, compiles its own at its first task, once."""
    click.echo("kernels: from the image" if IN_IMAGE else "kernels: compiling, once for each kind of processor")
    click.echo(f"kernels: ready ({ready(settings):.0f} s for matching)")


def airflow(*arguments: str, answers: str = "") -> str:
    """Run an airflow command, answer its prompts and return what it printed; its failure is ours."""
    command = [sys.executable, "-m", "airflow", *arguments]
    # a session of its own has no terminal, so that the prompts read what we write
    done = subprocess.run(command, check=False, capture_output=True, text=True, input=answers, start_new_session=True)
    if done.returncode:
        raise SystemExit(f"airflow {' '.join(arguments[:2])} failed:\n{done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
