"""The night's publish stage: new assessments and links into the case store, in one transaction.

Work is keyed by the lake's commits, whose names are made from the run and the ids in them: publishing again changes
nothing. A person's decision is never overwritten (`applying.py`). Rows take the run's `as_of`; only the audit log
says by the clock when the transaction happened. An erased case is not brought back: it counts as rejected.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from pipeline import bulk, logs
from pipeline.audit import anchors
from pipeline.cases.publishing.cases import Publisher, chunks
from pipeline.cases.publishing.intake import Intake, collect
from pipeline.cases.publishing.links import publish_links
from pipeline.cases.work import claims
from pipeline.contract import Night, StageReport, run_dir
from pipeline.lake import Lake
from pipeline.people import permissions
from pipeline.settings import Settings
from pipeline.store import recording as audit
from pipeline.store.actors import SYSTEM
from pipeline.store.context import rules
from pipeline.store.opening import Store, open_store, planned_anew
from pipeline.store.tables import Case, Publish, Tombstone

STAGE = "publish"


def run(settings: Settings, night: Night, shard: str | None = None) -> StageReport:
    """Publish what is new. `read` counts this run's assessments, `kept` those in the store, `rejected` erased cases.

    Lapsed claims are given back and an audit anchor is written. Raises IntegrityError for damaged lake rows,
    DependencyError when the store cannot be reached; then nothing has changed.
    """
    started, cpu = time.perf_counter(), time.process_time()
    store = open_store(settings)
    try:
        publish(store, Lake.of(settings), night, anchors.promise(settings))
        with store.session() as session:
            claims.expire(session, SYSTEM)
        report = _report(store, night)
        anchors.write(store)
    finally:
        store.close()
    report.seconds = round(time.perf_counter() - started, 3)
    report.cpu_seconds = round(time.process_time() - cpu, 3)
    logs.get(STAGE).info("published", run_id=night.run_id, read=report.read, kept=report.kept)
    return report


def publish(store: Store, lake: Lake, night: Night, anchors_then: int = 0) -> dict[str, int]:
    """One transaction: all commits that the store has not seen. Returns what was counted; empty when nothing was new.

    `anchors_then` is the number of audit anchors that there are when the stage has ended (0: none is written).
    """
    with store.session() as session:
        permissions.require(SYSTEM, "night.publish")
        known = set(session.scalars(select(Publish.key)))
        with collect(lake, known, night.as_of, run_dir(store.settings, night.run_id)) as intake:
            if not intake.keys:
                return {}
            with planned_anew(session):
                counts = _apply(session, intake, night)
        for number, key in enumerate(intake.keys):
            session.add(Publish(key=key, run_id=night.run_id, at=night.as_of, counts=counts if number == 0 else {}))
        detail = {**counts, "anchors": anchors_then} if anchors_then else dict(counts)
        audit.record(session, SYSTEM, "alteration", "night.published", object_=f"run:{night.run_id}", detail=detail)
        return counts


def published_cases(settings: Settings) -> set[str]:
    """Ids of all cases that were ever published: those in the store and those erased."""
    store = open_store(settings)
    try:
        with store.reader() as session:
            return set(session.scalars(select(Case.case_id))) | set(session.scalars(select(Tombstone.case_id)))
    finally:
        store.close()


def published_of(settings: Settings, cases: Collection[str]) -> set[str]:
    """Which of some cases were ever published: looked up by id, those erased too."""
    store = open_store(settings)
    found: set[str] = set()
    try:
        with store.reader() as session:
            ids = sorted(cases)
            for some in (ids[n : n + 500] for n in range(0, len(ids), 500)):
                for column in (Case.case_id, Tombstone.case_id):
                    found.update(session.scalars(select(column).where(column.in_(some))))
    finally:
        store.close()
    return found


def published_count(settings: Settings) -> int:
    """How many cases were ever published: those in the store and those erased."""
    store = open_store(settings)
    try:
        with store.reader() as session:
            there = session.scalar(select(func.count()).select_from(Case)) or 0
            # asked of each tombstone: SQLite answers "not in" by first making a list of all cases
            gone = select(func.count()).select_from(Tombstone).where(~exists().where(Case.case_id == Tombstone.case_id))
            return there + (session.scalar(gone) or 0)
    finally:
        store.close()


def _apply(session: Session, intake: Intake, night: Night) -> dict[str, int]:
    as_of: datetime = night.as_of
    _lock(session, intake.cases)
    publisher = Publisher(session, rules(session), intake, as_of, night.run_id)
    for batch in intake.batches():
        publisher.apply(batch)
    counts = Counter(publisher.counts)
    counts += publish_links(session, intake, publisher, as_of)
    publisher.finish()
    return dict(sorted(counts.items()))


def _lock(session: Session, cases: Collection[str]) -> None:
    """Lock the cases of all batches in the order of their numbers, as everybody does: batch by batch two could wait for each
    other."""
    for part in chunks(sorted(cases)):
        query = select(Case.case_id).where(bulk.one_of(session, Case.case_id, part)).order_by(Case.case_id)
        session.execute(query.with_for_update()).all()


def _report(store: Store, night: Night) -> StageReport:
    with store.reader() as session:
        total: Counter[str] = Counter()
        for counts in session.scalars(select(Publish.counts).where(Publish.run_id == night.run_id)):
            total.update(counts)
        open_cases = session.scalar(select(func.count()).select_from(Case).where(Case.is_open.is_(True))) or 0
    rejected = {"erased": total["erased"]} if total["erased"] else {}
    return StageReport(
        STAGE,
        night.run_id,
        read=total["assessments"],
        kept=total["assessments"] - total["erased"],
        rejected=rejected,
        counts={**{name: total[name] for name in sorted(total)}, "open_cases": open_cases},
    )
