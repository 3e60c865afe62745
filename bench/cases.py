"""Case store: the first page of the queue at 100,000 cases, and the publish of 5,000 changed cases.

    TRIAGE_TEST_POSTGRESQL=$(.ci/postgres) python -m bench.cases [--cases 100000] [--changed 5000] [--prepared FOLDER]

Bars: a first page by risk and by target, with every filter and with one that finds nothing, under 20 ms of CPU; the publish under 10 core-seconds. Without
TRIAGE_TEST_POSTGRESQL only SQLite is measured. SQLite runs inside the process, so its CPU is counted with it; for
PostgreSQL the CPU of every process of the server is added (read from /proc, in ticks of 10 ms: hence more rounds), so
the server has to run on this machine and to serve nobody else meanwhile. The peer of the page is the obvious query: one SELECT that sorts by urgency and risk
over whole rows. Data are synthetic; targets are spread so that every urgency group is full. `--prepared` keeps the filled SQLite store
for further runs, which work on a copy; filling it takes about a minute of CPU and is not the point.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bench import common
from pipeline.cases.publishing.stage import publish
from pipeline.cases.views import case as view
from pipeline.cases.views import queue
from pipeline.cases.views.ordering import ORDERS
from pipeline.cases.views.queue import QueueFilters
from pipeline.cases.work import claims
from pipeline.settings import Settings
from pipeline.store.actors import Actor
from pipeline.store.opening import Store, open_store
from pipeline.store.tables import Case, Seen
from tests.pipeline.cases import samples

ANALYST = Actor("ana", "Ana Lyst", frozenset({"analyst"}))
NOW = samples.START + timedelta(days=20)
PROVIDERS = [f"Provider {n}" for n in range(12)]
SOURCES = ("NCA_NCMEC", "NCA_DRB", "UCOL", "OCAG", "OTHER")

ALL_FILTERS = QueueFilters(
    urgency=queue.URGENCIES,
    band=("very_high", "high", "medium"),
    state=("new", "allocated", "in_enquiry"),
    source=("NCA_NCMEC", "NCA_DRB", "OCAG"),
    provider=tuple(PROVIDERS[:6]),
    force="42",
    holder="nobody",
    flagged=False,
    text_only=False,
    unknown_files=True,
    exact_matches=False,
    near_matches=False,
    new_for_me=True,
    reopened=False,
    lowering_pending=False,
    second_look=False,
    opened_since=samples.START - timedelta(days=400),
)
PAGES: dict[str, QueueFilters] = {
    "no filter": QueueFilters(),
    "all filters": ALL_FILTERS,
    "one provider": QueueFilters(provider=(PROVIDERS[3],)),
    "rare: flagged and text only": QueueFilters(flagged=True, text_only=True),
    "nothing found": QueueFilters(provider=("Nobody",)),
    "nothing found, all filters": replace(ALL_FILTERS, provider=("Nobody", "No one")),
    "new for me": QueueFilters(new_for_me=True),
    "not yet due": QueueFilters(urgency=("not_yet_due",)),
    "nothing found: source": QueueFilters(source=("NONE",)),
    "nothing found: state": QueueFilters(state=("awaiting_information",)),
    "nothing found: force": QueueFilters(force="99"),
    "nothing found: team": QueueFilters(team="nowhere"),
    "nothing found: held by me": QueueFilters(holder="me"),
    "nothing found: reopened": QueueFilters(reopened=True),
    "nothing found: lowering waits": QueueFilters(lowering_pending=True),
    "nothing found: second look": QueueFilters(second_look=True),
    "nothing found: opened since": QueueFilters(opened_since=NOW + timedelta(days=1)),
    "nothing found: number": QueueFilters(query="C-ZZZZ"),
    "new for me, low": QueueFilters(new_for_me=True, band=("low",)),
    "nothing found: urgency": QueueFilters(urgency=("critically_overdue",), band=("very_high",), opened_since=NOW),
    "nothing found together": QueueFilters(
        provider=(PROVIDERS[3],), source=("UCOL",), force="13", flagged=True, text_only=True, exact_matches=True
    ),
    "nothing found together, low": QueueFilters(
        provider=(PROVIDERS[3],), band=("low",), source=("UCOL",), holder="nobody", query=samples.case_of(77)[:5]
    ),
    "nothing found: flag waits, text only, low": QueueFilters(unacknowledged=True, text_only=True, source=("NONE",)),
    "flag waits, not near": QueueFilters(unacknowledged=True, near_matches=False),
    "flag waits, flagged, unknown files, held by nobody": QueueFilters(
        flagged=True, unacknowledged=True, holder="nobody", unknown_files=True
    ),
    "six filters that leave many": QueueFilters(
        force="13",
        provider=tuple(PROVIDERS[5:9]),
        holder="nobody",
        text_only=False,
        other_force="42",
        band=("very_high", "medium", "low"),
    ),
    "text only, held by nobody, two urgencies": QueueFilters(
        holder="nobody", lowering_pending=False, text_only=True, urgency=("critically_overdue", "not_yet_due")
    ),
    "seen, held by nobody, very high": QueueFilters(new_for_me=False, holder="nobody", band=("very_high",)),
    "eight filters, seen, not yet due": QueueFilters(
        urgency=("not_yet_due",),
        band=("very_high", "high", "medium"),
        source=("NCA_NCMEC", "OCAG", "OTHER"),
        force="13",
        exact_matches=True,
        new_for_me=False,
        reopened=False,
        lowering_pending=False,
    ),
    "due soon, flag waits not, new for me": QueueFilters(urgency=("due_soon",), unacknowledged=False, new_for_me=True),
    "text only of a force, new for me": QueueFilters(
        force="13", text_only=True, new_for_me=True, opened_since=samples.START
    ),
    "two providers, critically overdue, new for me": QueueFilters(
        provider=tuple(PROVIDERS[6:8]), urgency=("critically_overdue",), new_for_me=True, band=("medium",)
    ),
}
"""Filters by name; each is measured by risk and by target. The other orders sort every open case, which has no bar."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--changed", type=int, default=5_000)
    parser.add_argument("--prepared", type=Path)
    parser.add_argument("--no-save", action="store_true")
    given = parser.parse_args()
    result: dict[str, Any] = {
        "machine": common.machine(),
        "versions": common.versions("sqlalchemy", "psycopg"),
        "load average at the start": round(os.getloadavg()[0], 1),
        "cases": given.cases,
        "changed": given.changed,
        "bars": {"first page, CPU ms": 20, "publish, core-seconds": 10},
    }
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        if given.prepared and given.prepared.is_dir():
            shutil.copytree(given.prepared, home)
        settings = Settings(home=home, force="42")
        fill(settings, given.cases)
        if given.prepared and not given.prepared.is_dir():
            shutil.copytree(home, given.prepared)
        result["sqlite"] = measure(settings, given.cases, given.changed)
    server = os.environ.get("TRIAGE_TEST_POSTGRESQL")
    if server:
        name = f"triage_bench_{uuid.uuid4().hex}"
        administer(server, f'CREATE DATABASE "{name}"')
        url = sa.make_url(server).set(database=name).render_as_string(hide_password=False)
        with tempfile.TemporaryDirectory() as folder:
            settings = Settings(home=Path(folder), force="42", cases_url=url)
            fill(settings, given.cases)
            result["postgresql, client and server"] = measure(settings, given.cases, given.changed, Server(url))
        administer(server, f'DROP DATABASE "{name}" WITH (FORCE)')
    else:
        print("TRIAGE_TEST_POSTGRESQL is not set: PostgreSQL is not measured", flush=True)
    if not given.no_save:
        print(f"written: {common.save('cases', result).name}")


def administer(server: str, statement: str) -> None:
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


class Server:
    """CPU of a PostgreSQL server on this machine: the postmaster, its present processes, and those that have ended."""

    def __init__(self, url: str) -> None:
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            folder = Path(connection.scalar(sa.text("SHOW data_directory")) or "")
        engine.dispose()
        self.postmaster = int((folder / "postmaster.pid").read_text().split()[0])

    def seconds(self) -> float:
        """CPU seconds so far. A process that ends while this is read is counted with its parent from then on."""
        ticks = 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                number, _, rest = path.read_text().rpartition(")")
            except (FileNotFoundError, ProcessLookupError):
                continue
            fields, process = rest.split(), int(number.split()[0])
            if process == self.postmaster:
                ticks += sum(map(int, fields[11:15]))
            elif int(fields[1]) == self.postmaster:
                ticks += sum(map(int, fields[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")


NO_SERVER_ROUNDS, SERVER_ROUNDS = 15, 40


def measure(settings: Settings, cases: int, changed: int, server: Server | None = None) -> dict[str, Any]:
    """Every figure on one database; `server` is given where the database is another process."""
    store = open_store(settings, lambda: NOW)
    random.seed(7)

    def timed(work: Callable[[Any], Any]) -> dict[str, float]:
        return _timed(store.reader, work, server)

    def timed_writes(work: Callable[[Any], Any]) -> dict[str, float]:
        return _timed(store.session, work, server)

    print(f"-- {store.dialect}", flush=True)
    result: dict[str, Any] = {"pages, CPU ms": {}}
    for order in ORDERS:
        for name, filters in PAGES.items() if order in ("risk", "target") else [("no filter", QueueFilters())]:
            figures = timed(lambda s, f=filters, o=order: queue.page(s, ANALYST, f, order=o))
            result["pages, CPU ms"][f"{name} (by {order})"] = figures
            print(f"{name:44} by {order:6} {figures['median']:8.2f} ms   {figures}", flush=True)
    result["counts, CPU ms"] = timed(lambda s: queue.counts(s, ANALYST, QueueFilters()))
    result["peer: one sorting query, CPU ms"] = timed(obvious)
    result["case page, CPU ms"] = timed_writes(lambda s: view.read(s, ANALYST, samples.case_of(5)))
    result["claim next, CPU ms"] = timed_writes(lambda s: claims.claim_next(s, ANALYST))
    result["publish of changed, core-seconds"] = second_publish(store, cases, changed, server)
    for name in ("counts, CPU ms", "peer: one sorting query, CPU ms", "case page, CPU ms", "claim next, CPU ms"):
        print(f"{name:32} {result[name]['median']:8.2f} ms   {result[name]}")
    print(f"publish of {changed} changed: {result['publish of changed, core-seconds']} core-seconds")
    store.close()
    return result


def row(number: int, version: int = 1) -> dict[str, Any]:
    """A made-up assessment with eight reasons, as large as real ones are."""
    rnd = random.Random(number)
    band = rnd.choices(("very_high", "high", "medium", "low"), (5, 20, 40, 35))[0]
    reasons = [samples.reason(f"feature_{n}", rnd.random() * 10, [("facts", f"F-{number}-{n}")]) for n in range(8)]
    at = samples.night(version - 1)
    changes = {"reasons_new": [f"Reason feature_{n}" for n in range(2)]} if version > 1 else None
    return samples.assessment(
        number, band, version=version, at=at, reasons=reasons, changes=changes,
        score=samples.SCORES[band] + rnd.random() * 20 + version,
        clock_start=samples.START + timedelta(days=rnd.randrange(-15, 40), minutes=rnd.randrange(1440)),
        flags=[{"rule": "r", "label": "Flag", "reason": "Why", "evidence": []}] if rnd.random() < 0.02 else [],
        summary={
            "source": rnd.choice(SOURCES), "provider": rnd.choice(PROVIDERS), "unknown_files": rnd.randrange(3),
            "matched_exact": rnd.randrange(2), "matched_near": rnd.randrange(2), "text_only": rnd.random() < 0.05,
            "force_code": rnd.choice(("42", "42", "13")),
        },
    )  # fmt: skip


def fill(settings: Settings, cases: int) -> None:
    """Publish all cases once, unless the store has them."""
    store = open_store(settings, lambda: NOW)
    with store.reader() as session:
        there = session.scalar(sa.select(sa.func.count()).select_from(Case))
    if there != cases:
        lake = samples.commit(store, samples.night(), assessments=[row(n) for n in range(cases)])
        publish(store, lake, samples.night())
        look(store)
    store.close()


def second_publish(store: Store, cases: int, changed: int, server: Server | None) -> float:
    """Changed assessments, with as many links, on top of all the others."""
    numbers = random.sample(range(cases), changed)
    night = samples.night(1)
    links = [samples.link(a, b, at=night) for a, b in zip(numbers, reversed(numbers), strict=True) if a < b]
    lake = samples.commit(store, night, assessments=[row(n, 2) for n in numbers], links=links)
    start = common.cpu_seconds() + (server.seconds() if server else 0)
    counts = publish(store, lake, night)
    seconds = round(common.cpu_seconds() + (server.seconds() if server else 0) - start, 2)
    assert counts["updated"] == changed, counts
    return seconds


def look(store: Store) -> None:
    """The analyst has looked at a third of the cases. PostgreSQL gets its statistics and its map of what all may see, as its
    own daemon would give them within a minute, in the middle of the measurement; the product never asks SQLite for any."""
    with store.session() as session:
        ids = session.execute(sa.select(Case.case_id, Case.change_id)).all()
        rows = [
            {"user_id": "ana", "case_id": c, "change_id": n, "at": NOW} for i, (c, n) in enumerate(ids) if i % 3 == 0
        ]
        session.execute(sa.insert(Seen), rows)
    if store.dialect == "sqlite":
        return
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM (ANALYZE)")


def obvious(session: Any) -> list[Any]:
    """The peer: whole rows, sorted by an expression."""
    late = sa.case((Case.due_at < NOW, 0), else_=1)
    keys = (Case.band_order, Case.unacknowledged.desc(), late, Case.score_order, Case.due_at, Case.case_id)
    query = sa.select(Case).where(Case.is_open.is_(True), Case.compartment.is_(None)).order_by(*keys)
    found: list[Any] = session.scalars(query.limit(26)).all()
    return found


def _timed(open_: Callable[[], Any], work: Callable[[Any], Any], server: Server | None) -> dict[str, float]:
    """CPU milliseconds of a transaction with `work`, after one warm-up: median and worst of this process, to whose
    median a server's mean is added."""
    rounds = SERVER_ROUNDS if server else NO_SERVER_ROUNDS
    spent, before = [], 0.0
    for number in range(rounds + 1):
        if number == 1 and server:
            before = server.seconds()
        start = time.process_time()
        with open_() as session:
            work(session)
        spent.append((time.process_time() - start) * 1000)
    found = {"median": round(statistics.median(spent[1:]), 2), "worst": round(max(spent[1:]), 2)}
    if server is None:
        return found
    there = (server.seconds() - before) / rounds * 1000
    return {
        "median": round(found["median"] + there, 2),
        "client median": found["median"],
        "client worst": found["worst"],
        "server mean": round(there, 2),
    }


if __name__ == "__main__":
    main()
