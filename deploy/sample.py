"""`docker compose run --rm sample python -m deploy.sample ...`: sample referrals that the deployment's services can read.

What `triage sample` writes is its owner's only; here the owner is root, so what is new in the landing folder is given to the
account of the services. Takes the options of `triage sample`.
"""

from __future__ import annotations

import os
import sys

from deploy.secrets import READERS
from pipeline.cli import main as triage
from pipeline.settings import Settings


def main(arguments: list[str]) -> None:
    """Write the samples; as root, give what is new to user and group 10001."""
    landing = Settings.load().landing_dir
    before = set(landing.rglob("*"))
    try:
        triage(["sample", *arguments])
    except SystemExit as end:
        if end.code:
            raise
    if os.geteuid() == 0:
        for path in set(landing.rglob("*")) - before:
            os.chown(path, READERS, READERS, follow_symlinks=False)


if __name__ == "__main__":
    main(sys.argv[1:])
