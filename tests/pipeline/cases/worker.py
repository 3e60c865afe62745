"""Processes that claim until nothing is free; started by test_claims.py.

    python worker.py HOME URL POLICY FOLDER USER...

Forks one process per user. Each writes its process id to FOLDER/USER.ready, waits until FOLDER/go exists, so that all
begin together, and then writes every case that it got as a line of FOLDER/USER, after the commit.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from pipeline.cases.work import claims
from pipeline.settings import Settings
from pipeline.store.actors import Actor
from pipeline.store.opening import open_store


def main(home: str, url: str, policy: str, folder: str, *users: str) -> None:
    """Fork, and wait for all. A killed child is no failure, one that ends with an error is."""
    settings = Settings(home=Path(home), cases_url=url, policy=Path(policy))
    children = []
    for user in users:
        child = os.fork()
        if child == 0:
            claim_all(settings, Path(folder), user)
            os._exit(0)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    sys.exit(max(codes))


def claim_all(settings: Settings, folder: Path, user: str) -> None:
    """Claim the next case again and again."""
    store = open_store(settings)
    actor = Actor(user, user, frozenset({"analyst"}))
    (folder / f"{user}.tmp").write_text(str(os.getpid()))
    (folder / f"{user}.tmp").rename(folder / f"{user}.ready")
    while not (folder / "go").exists():
        time.sleep(0.002)
    with (folder / user).open("w") as file:
        while True:
            with store.session() as session:
                case = claims.claim_next(session, actor)
                number = case.case_id if case else None
            if number is None:
                return
            file.write(number + "\n")
            file.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
