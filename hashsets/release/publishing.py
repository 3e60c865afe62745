"""Publishing: switching the pointer, and removing releases that policy does not keep.

The seal of a release (`releases/<number>.json`) is written first, the pointer last: the rename of CURRENT is the one
moment of publication. Killed or failed at any system call before it, readers have the old release; after it, the new.
"""

from __future__ import annotations

import shutil
from typing import Any

import duckdb
import pyarrow as pa

from hashsets import sources
from hashsets.algorithms import StoredHash
from hashsets.release import approving, canaries, manifest, releases
from hashsets.release.asked import query_table
from hashsets.release.locking import locked
from hashsets.release.tables import equal
from pipeline import files
from pipeline.settings import Settings
from pipeline.sql import Sql, compose


def publish(settings: Settings) -> int | None:
    """Make the newest built release current; returns its number, or None when there is none or it needs a person's word.

    Verifies every file first. Raises IntegrityError (the old release stays) or ConflictError (another process builds).
    """
    with locked(settings):
        now = releases.pointer(settings)
        number = (now.number if now else 0) + 1
        folder = settings.releases_dir / str(number)
        if not (folder / manifest.NAME).is_file():
            return None
        digest = files.sha256(folder / manifest.NAME)
        release = releases.opened(settings, releases.Pointer(number, digest))
        if not approving.publishable(settings, release):
            return None
        seal: dict[str, Any] = {"release": number, "manifest_sha256": digest}
        files.sync_folder(settings.releases_dir)
        files.write_json(settings.releases_dir / f"{number}.json", seal)
        files.write_json(settings.releases_dir / releases.POINTER, seal)
        retire(settings, number)
        return number


def retire(settings: Settings, current: int) -> list[int]:
    """Remove releases beyond the policy's number, oldest first, except pinned ones; returns them.

    A reader that has one open keeps its mapped files. The seal goes first: without it a release cannot be opened.
    """
    policy = sources.load(settings)
    kept = sorted(
        (int(p.name) for p in settings.releases_dir.iterdir() if p.is_dir() and p.name.isdigit()), reverse=True
    )
    removed = [n for n in kept if n <= current][policy.keep :]
    removed = sorted(n for n in removed if n not in policy.pinned)
    for number in removed:
        (settings.releases_dir / f"{number}.json").unlink(missing_ok=True)
        files.sync_folder(settings.releases_dir)
        shutil.rmtree(settings.releases_dir / str(number))
    return removed


def check_canaries(con: duckdb.DuckDBPyConnection, algorithm: StoredHash) -> None:
    """Ask an open store for its canaries of one algorithm. Raises CanaryError."""
    con.register("asked", query_table(algorithm, canaries.KEYS, pa.array(canaries.values(algorithm), pa.binary())))
    whole = compose(" AND h.{name} = q.{name}", name=algorithm.name) if algorithm.opaque else Sql("")
    found = con.sql(
        compose(
            "SELECT q.query_id, h.media_key FROM {table} h JOIN asked q ON {same}{whole}",
            table=algorithm.table,
            same=equal("h", "q", algorithm),
            whole=whole,
        )
    ).fetchall()
    con.unregister("asked")
    canaries.check(algorithm, found)
