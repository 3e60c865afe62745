"""`python -m deploy.kernels FOLDER`: compile every kernel for each family of processors; a step of the image's build.

A kernel is made ready by running it, so the machine that builds the image must be of the family: build on one with AVX-512 to
have both. What is missing is said, and compiled by the deployment's first task on a machine that needs it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click

from pipeline import policy
from pipeline.fingerprint.decode import media
from pipeline.kernelfamilies import FAMILIES, LISTED, environment, of_this_machine
from pipeline.matching.core.compiled.warm import warm
from pipeline.settings import Settings


def ready(settings: Settings) -> float:
    """Compile every kernel, or load it where that was done; returns the seconds that matching's took."""
    seconds = warm(16) + warm(4)
    media.warm(policy.load(settings, "fingerprint").data)
    return seconds


def build(folder: Path, program: tuple[str, ...]) -> list[str]:
    """Fill `folder` by running `program` once for each family that this machine has; returns the families' names.

    The image is built as root and used as user 10001, so everything in it may be read by all, whatever the program's umask. A run that fails ends it with that run's error.
    """
    folder.mkdir(parents=True, exist_ok=True)
    own = of_this_machine()
    names = list(FAMILIES)
    # a processor of a family has every one that comes after it
    able = names[names.index(own) :] if own else []
    for name in able:
        variables = {**os.environ, **environment(name), "NUMBA_CACHE_DIR": str(folder)}
        subprocess.run([sys.executable, *program], env=variables, check=True)
    (folder / LISTED).write_text(json.dumps(able))
    for path in (folder, *folder.rglob("*")):  # what the product writes is its user's only; these are for another user
        path.chmod(0o755 if path.is_dir() else 0o644)
    return able


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
def main(folder: Path | None) -> None:
    """Fill FOLDER with compiled kernels; without it, compile them for this process's family only."""
    if folder is None:
        ready(Settings.load())
        return
    able = build(folder, ("-m", "deploy.kernels"))
    for name in FAMILIES:
        click.echo(
            f"kernels: {name} " + ("compiled" if name in able else "left out: this machine is not of that family")
        )


if __name__ == "__main__":
    main()
