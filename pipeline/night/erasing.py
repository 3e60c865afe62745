"""Erasure beyond the case store: all that is kept of erased cases below TRIAGE_HOME, wherever a stage wrote it.

| where | what is done |
|---|---|
| lake | personal columns emptied, rows stay; older versions, cached copies and snapshots removed |
| quarantine | notices of the case's packages written anew without names and reasons |
| reporting tables | computed anew, their former files removed at once |
| ingest's shortcuts, moments of runs | names of the case's packages taken out |
| runs | tracebacks and journals of stages that broke off, which may hold any value, removed |
| the console's index | its rows removed |
| the index of link keys | removed; the next night makes it anew |
| write-ahead logs of SQLite | brought into the files, whose free pages are overwritten |

A package that still lies in the landing folder keeps its name here, since the next night would read it again: it is told, to
be removed first. Landing, files that were handed out and backups are the force's own to erase (docs/cases.md).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.assess.links.index import KeyIndex
from pipeline.cases.views import hiding
from pipeline.console.casepage.evidence import Evidence
from pipeline.export import stage as reporting
from pipeline.ingest import quarantine, returned
from pipeline.ingest.landing import seen
from pipeline.lake import Lake
from pipeline.lake.erasing import Wanted
from pipeline.settings import Settings
from pipeline.store.opening import open_store


@dataclass(frozen=True)
class Erasure:
    """What an erasure did: files of the lake written anew by table, other files changed or removed, and the packages of erased
    cases that still lie in the landing folder."""

    tables: dict[str, int] = field(default_factory=dict)
    others: int = 0
    in_landing: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """Figures without names, for Airflow and logs."""
        return {**self.tables, "other_files": self.others, "packages_in_landing": len(self.in_landing)}


def erase(settings: Settings, run_id: str) -> Erasure:
    """Erase what is kept of every erased case; doing it again changes nothing.

    The audit log keeps that a case was erased, by whom and why.
    """
    store = open_store(settings)
    try:
        with store.reader() as session:
            referrals, cases = hiding.erased_referrals(session), hiding.erased_cases(session)
        store.checkpoint()
    finally:
        store.close()
    if not referrals:
        return Erasure()
    lake = Lake.of(settings)
    packages = quarantine.belonging(lake.read("packages"), referrals)
    names = dict(zip(packages["package_id"].to_pylist(), packages["container"].to_pylist(), strict=True))
    there = {name for name in packages["container"].to_pylist() if (settings.landing_dir / name).exists()}
    gone = sorted(package for package, name in names.items() if name not in there)
    wanted = Wanted(referrals, cases, gone, _held_alone(lake, referrals))
    fresh = not lake.committed("erase", wanted.key())
    others = seen.forget(settings, set(packages["container"].to_pylist()) - there)  # while the lake knows the names
    tables = lake.erase(wanted, run_id)
    if tables or fresh:
        others += quarantine.rewrite_notices(settings, Lake.of(settings), gone)
        reporting.write(settings, None, whole=True)
        others += KeyIndex(settings, "").forget()
        others += returned.forget(settings)
    others += _tracebacks(settings)
    _index(settings, referrals)
    return Erasure(tables, others, sorted(there))


def _held_alone(lake: Lake, referrals: set[str]) -> list[bytes]:
    """Contents that no other referral holds."""
    files = lake.read("media_files", ["referral_id", "sha256"])
    files = files.filter(pc.is_valid(files["sha256"]))
    own = pc.is_in(files["referral_id"], value_set=pa.array(sorted(referrals), pa.string()))
    mine, others = (set(files.filter(m)["sha256"].to_pylist()) for m in (own, pc.invert(own)))
    return sorted(mine - others)


def _tracebacks(settings: Settings) -> int:
    """Remove what stages that broke off have left: it may hold any value, and nothing that counts rests on it."""
    runs = settings.runs_dir
    left = [*runs.glob("*/failures/*.txt"), *runs.glob("*/*/*.journal")]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def _index(settings: Settings, referrals: set[str]) -> None:
    """Bring the console's index to what may be read, if there is one. A console that runs goes on with the same file."""
    index = Evidence(settings, lambda: referrals)
    if index.path.is_file():
        index.refresh()
        with closing(sqlite3.connect(index.path, timeout=60)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
