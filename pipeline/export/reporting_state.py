"""What the reporting tables were last made of, kept beside them, and which owners have changed since.

    HOME/cache/reporting/state.json

It can be thrown away: then everything is computed anew, as it is by another version of the product, after an erasure, for a moment
before the last one, and once in `recheck_days` (policy/lake.yaml).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import delete, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from pipeline import __version__, files, senders
from pipeline.export import reporting
from pipeline.export.reporting_parts import KeptPart, Shelf
from pipeline.export.reporting_rows import KEPT, Concerned
from pipeline.export.reporting_runs import RECONCILIATION
from pipeline.lake import Commit, Lake, erasing
from pipeline.lake.run_rows import REPORT
from pipeline.store.operations import Touched
from pipeline.store.tables import Case, Link, Review

FORMAT = 2
"""Number of what lies in HOME/cache/reporting: another version of it computes everything anew."""
CHUNK = 500
"""Ids in one IN list."""


@dataclass(frozen=True)
class KeptTables:
    """The parts of every table and what they were made of: the lake up to the commit `through`, the runs by what `stamps` says of
    each, and who is kept from whom."""

    parts: dict[str, list[KeptPart]]
    through: int
    as_of: datetime
    whole: date
    runs: dict[str, list[int]]
    restricted: frozenset[str]
    """Referrals that the lake says are restricted; those of `secret` are these and the referrals of restricted cases."""
    secret: frozenset[str]
    erased: frozenset[str]


def made_by(hours: Mapping[str, int]) -> str:
    """Digest of what else decides how rows look: the statements, the schemas, the version and the policy's hours."""
    texts = [p.read_bytes() for folder in (reporting.SQL, reporting.SCHEMAS) for p in sorted(folder.rglob("*.*"))]
    words = [__version__, FORMAT, sorted(hours.items()), [str(s) for s in senders.SOURCES.values()]]
    return hashlib.sha256(b"\0".join([*texts, repr(words).encode()])).hexdigest()


def load(shelf: Shelf, hours: Mapping[str, int]) -> KeptTables | None:
    """What was kept with the tables that lie there now; None where there is nothing, or it is not of these tables."""
    try:
        kept = orjson.loads((shelf.cache / "state.json").read_bytes())
        if kept["made_by"] != made_by(hours) or kept["manifests"] != manifests(shelf):
            return None
        parts = {t: [KeptPart(**p) for p in kept["parts"][t]] for t in (*reporting.tables(), *KEPT)}
        moment, whole = datetime.fromisoformat(kept["as_of"]), date.fromisoformat(kept["whole"])
        sets = (frozenset(kept[name]) for name in ("restricted", "secret", "erased"))
        return KeptTables(parts, int(kept["through"]), moment, whole, kept["runs"], *sets)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def save(shelf: Shelf, state: KeptTables, hours: Mapping[str, int]) -> None:
    """Keep it, with the manifests that it belongs to."""
    kept = {
        "made_by": made_by(hours),
        "manifests": manifests(shelf),
        "parts": {table: [asdict(p) for p in parts] for table, parts in state.parts.items()},
        "through": state.through,
        "as_of": state.as_of.isoformat(),
        "whole": state.whole.isoformat(),
        "runs": state.runs,
        **{name: sorted(getattr(state, name)) for name in ("restricted", "secret", "erased")},
    }
    # orjson: after years the runs and the parts are a long list, and Python's own writer of indented JSON is slow
    files.write_bytes(shelf.cache / "state.json", orjson.dumps(kept, option=orjson.OPT_SORT_KEYS))


def manifests(shelf: Shelf) -> list[str]:
    """SHA-256 of the manifests of both sets. Raises FileNotFoundError when there is none."""
    return [files.sha256(folder / reporting.MANIFEST) for folder in (shelf.open, shelf.restricted)]


def touched(session: Session) -> dict[int, tuple[str, str]]:
    """What the case store has noted as changed: number to kind and name."""
    rows = session.execute(select(Touched.touched_id, Touched.kind, Touched.name))
    return {number: (kind, name) for number, kind, name in rows}


def settled(session: Session, numbers: Iterable[int]) -> None:
    """Take out what the tables now say."""
    listed = sorted(numbers)
    for start in range(0, len(listed), CHUNK):
        session.execute(delete(Touched).where(Touched.touched_id.in_(listed[start : start + CHUNK])))


def stamps(runs: Path, lake: Lake, kept: KeptTables | None) -> dict[str, list[int]]:
    """Of each run the number of its last stage report, and the size and time of change of its reconciliation; 0 for what
    is not there. Reports are read from the last that is in the kept tables on."""
    before = kept.runs if kept else {}
    last = {run: known[0] for run, known in before.items()}
    last |= lake.run_rows.newest(REPORT, after=max(last.values(), default=0))
    found: dict[str, list[int]] = {}
    for run in sorted(os.listdir(runs)) if runs.is_dir() else ():  # noqa: PTH208 - names of years of runs, not paths
        if not os.path.exists(f"{runs}/{run}/run.json"):  # noqa: PTH110 - as above
            continue
        try:
            stat = os.stat(f"{runs}/{run}/{RECONCILIATION}")  # noqa: PTH116 - as above
            found[run] = [last.get(run, 0), stat.st_size, stat.st_mtime_ns]
        except FileNotFoundError:
            found[run] = [last.get(run, 0), 0, 0]
    return found


def restricted(lake: Lake, kept: KeptTables | None) -> frozenset[str]:
    """Referrals that the lake says are restricted: the kept ones and those of later commits."""
    fresh = None if kept is None else lake.commits("ingest", after=kept.through)
    rows = lake.read("referrals", ["referral_id", "compartment"], commits=fresh)
    found = rows.filter(pc.fill_null(pc.not_equal(rows["compartment"], ""), False))["referral_id"].to_pylist()
    return frozenset(found) | (kept.restricted if kept else frozenset())


def outdated(kept: KeptTables, as_of: datetime, lake: Lake, days: int) -> bool:
    """Whether everything is to be computed anew: for a moment before the kept one, after `days`, and after an erasure."""
    since = (as_of.astimezone(UTC).date() - kept.whole).days
    return as_of < kept.as_of or since >= days or bool(lake.commits(erasing.STAGE, after=kept.through))


def changed(
    kept: KeptTables,
    now: KeptTables,
    lake: Lake,
    session: Session,
    touches: Iterable[tuple[str, str]],
    *,
    hours: Mapping[str, int],
) -> Concerned:
    """The owners whose rows may be others than the kept ones. `now` has no parts yet."""
    fresh = lake.commits(after=kept.through)
    moved = (now.secret ^ kept.secret) | (now.erased ^ kept.erased)
    arrived = set(lake.read("referrals", ["referral_id"], commits=fresh)["referral_id"].to_pylist())
    noted = set(touches)
    cases = {name for kind, name in noted if kind == "case"} | _timed(session, kept.as_of, now.as_of, hours)
    cases |= _chosen(session, Case.case_id, Case.referral_id.in_, arrived | moved)
    links = {name for kind, name in noted if kind == "link"}
    links |= _chosen(session, Link.link_id, lambda s: or_(Link.left_referral.in_(s), Link.right_referral.in_(s)), moved)
    packages = set(lake.read("packages", ["package_id"], commits=fresh)["package_id"].to_pylist())
    packages |= set(_where(lake, "packages", "package_id", "referral_id", moved))
    return Concerned(
        cases=frozenset(cases),
        referrals=frozenset(arrived | moved | _of_media(lake, fresh)),
        links=frozenset(links),
        packages=frozenset(packages),
        runs=frozenset(
            name for name in now.runs.keys() | kept.runs.keys() if now.runs.get(name) != kept.runs.get(name)
        ),
    )


def _timed(session: Session, before: datetime, now: datetime, hours: Mapping[str, int]) -> set[str]:
    """Cases of which a row says something else because time has passed: a review fell due, or the target is soon due, overdue
    or long overdue. Nothing else in the tables goes by the clock: they would be written anew every night."""
    reviews = select(Review.case_id).where(Review.done_at.is_(None), Review.due_at >= before, Review.due_at < now)
    found = set(session.scalars(reviews))
    for shift in (-hours["critically_overdue_hours"], 0, hours["due_soon_hours"]):
        low, high = (moment + timedelta(hours=shift) for moment in (before, now))
        found.update(session.scalars(select(Case.case_id).where(Case.is_open, Case.due_at.between(low, high))))
    return found


def _of_media(lake: Lake, fresh: list[Commit]) -> set[str]:
    """Referrals with a media file that is new, or of which a content or a match is."""

    def new(table: str, columns: list[str]) -> pa.Table:
        return lake.read(table, columns, commits=fresh)

    found = set(new("media_files", ["referral_id"])["referral_id"].to_pylist())
    matches, prints = new("matches", ["sha256", "file_id"]), new("fingerprints", ["sha256"])
    contents = {*matches["sha256"].drop_null().to_pylist(), *prints["sha256"].to_pylist()}
    named = set(matches["file_id"].drop_null().to_pylist())
    for key, values in (("sha256", contents), ("file_id", named)):
        found.update(_where(lake, "media_files", "referral_id", key, values))
    return found


def _where(lake: Lake, table: str, wanted: str, key: str, values: Iterable[Any]) -> list[Any]:
    """One column of the rows in which another has one of some values."""
    listed = sorted(values)
    if not listed:
        return []
    found: list[Any] = lake.read(table, [wanted], where=(key, pa.array(listed)))[wanted].to_pylist()
    return found


def _chosen(
    session: Session, column: InstrumentedAttribute[str], condition: Callable[[list[str]], Any], ids: Iterable[str]
) -> set[str]:
    """Values of a column of the store where a condition holds for some ids."""
    listed, found = sorted(ids), set[str]()
    for start in range(0, len(listed), CHUNK):
        found.update(session.scalars(select(column).where(condition(listed[start : start + CHUNK]))))
    return found
