"""Whose turn it is to write the queue: one run at a time, from its first write to its end, whatever DAG it belongs to.

A night has its turn from ingest to reconciliation; a retro-match and a refresh wait for the end of the night, and the
night for theirs, so that no case goes to the queue between its arrival and its matches. The turn is a row of the case
store; whether its holder is still at work is asked of whoever runs it. A run that is repeated finds its own turn.

A night that failed keeps its turn against all but the next night: what it left half done must not be published by
somebody else. `triage night turn --free` gives it up by hand.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select

from pipeline import logs
from pipeline.errors import ConflictError
from pipeline.settings import Settings
from pipeline.store.opening import Store, open_store
from pipeline.store.operations import Turn

QUEUE = "queue"
NIGHT = "nightly_triage"
"""The DAG of the night; `triage night run` counts as one."""

AT_WORK = frozenset({"running", "queued", "restarting"})


@dataclass(frozen=True)
class Holder:
    """A run that has the turn: its name, the DAG and Airflow's id of the DAG run; for a command its process."""

    run: str
    dag: str
    dag_run: str = ""
    host: str = ""
    process: str = ""

    @property
    def night(self) -> bool:
        return self.dag == NIGHT


HolderState = Callable[[Holder], str]
"""What is known of a holder: running, queued, success, failed, or gone when there is no such run any more."""


def take(settings: Settings, holder: Holder, state: HolderState) -> Holder | None:
    """Take the turn for a run, or return who has it. Taking it again is allowed and changes nothing."""
    store = open_store(settings)
    try:
        with store.session() as session:
            row = session.execute(select(Turn).where(Turn.name == QUEUE).with_for_update()).scalar_one()
            present = Holder(**row.holder) if row.holder else None
            if present is not None and not _same(present, holder) and not _may_pass(present, holder, state(present)):
                return present
            row.run, row.holder, row.taken_at = holder.run, asdict(holder), datetime.now(UTC)
            return None
    finally:
        store.close()


def _same(present: Holder, holder: Holder) -> bool:
    return (present.run, present.dag) == (holder.run, holder.dag) and present.process == holder.process


def _may_pass(present: Holder, holder: Holder, state: str) -> bool:
    """Whether `holder` may take over from the run that has the turn now."""
    if state in AT_WORK:
        return False
    return state == "success" or not present.night or holder.night


def free(settings: Settings, run: str | None = None) -> Holder | None:
    """Give the turn of that run up (of any run: None); returns who had it."""
    store = open_store(settings)
    try:
        with store.session() as session:
            row = session.execute(select(Turn).where(Turn.name == QUEUE).with_for_update()).scalar_one()
            present = Holder(**row.holder) if row.holder else None
            if present is not None and run in (None, present.run):
                row.run, row.holder, row.taken_at = None, None, None
            return present
    finally:
        store.close()


def present(store: Store) -> tuple[Holder, datetime] | None:
    """Who has the turn, and since when."""
    with store.reader() as session:
        row = session.get_one(Turn, QUEUE)
        if not row.holder or row.taken_at is None:
            return None
        return Holder(**row.holder), row.taken_at


@contextmanager
def held_by_command(settings: Settings, run: str) -> Iterator[None]:
    """The turn for a run of `triage night`, from the command's start to its end. Raises ConflictError when it is not ours."""
    holder = Holder(run, NIGHT, host=socket.gethostname(), process=_process(os.getpid()))
    other = take(settings, holder, process_state)
    if other is not None:
        what = f"the DAG run {other.dag_run}" if other.dag_run else f"a command on {other.host}"
        raise ConflictError(
            f"The run {other.run} has the turn to write the queue ({what}).",
            "Wait for its end. If it is no longer at work: `triage night turn --free`.",
        )
    try:
        yield
    finally:
        free(settings, run)


def process_state(holder: Holder) -> str:
    """State of a command on this host. A holder that is not one, or is on another host, is taken to be at work: only
    Airflow, or a person, can say otherwise."""
    if not holder.process:
        return "running"
    if holder.host != socket.gethostname():
        return "running"
    return "running" if _process(int(holder.process.split(".")[0])) == holder.process else "gone"


def _process(pid: int) -> str:
    """The process as pid and start time, which no other process ever had on this boot; empty when there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        return ""
    return f"{pid}.{fields[19]}.{boot}"


def waits(holder: Holder, other: Holder) -> None:
    """Say in the log who waits for whom."""
    logs.get("turn").info("waits for its turn", run=holder.run, for_run=other.run, of=other.dag or "command")
