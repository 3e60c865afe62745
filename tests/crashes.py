"""Stages under faults at chosen system calls, and nights under SIGKILL at random moments.

    python -m tests.crashes --points 14 --kills 6 --seed 1

A small night's stages are run one after the other; before each of them its home is kept. Then, again and again, a stage
runs on a copy of its home in a forked child in which one system call, chosen at random among those that the
undisturbed stage made, kills the process or fails with ENOSPC or EIO. What is published then must verify, and the stage
run once more must give the parts, byte for byte, and the rows of the case store of the undisturbed night, with its audit
chain unbroken. Where the stage went on after the fault, because a package in landing that cannot be read waits for the next
run, or a worker was started without bubblewrap, the rows of the lake must be the same, in whatever parts, whichever of two equal
packages was read first and with whatever isolation they say of the worker. The kills do the same to whole nights: SIGKILL to the process and everything it started.

Prints one JSON object; exit code 1 when anything differed. To be run in a process of its own: it forks children that
have every import behind them, before anything has started a thread. Needs Linux 5.5 and SQLite as case store.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import structlog

from pipeline import contract as nights
from pipeline.audit import anchors
from pipeline.audit import log as audit_log
from pipeline.lake import Lake
from pipeline.night import stages as nightly
from pipeline.settings import ROOT, Settings
from pipeline.store.opening import open_store
from tests import faults

AS_OF = datetime(2026, 11, 21, 1, tzinfo=UTC)
RUN = "crashed"
FAULTS = {
    "signal=SIGKILL": (
        "write",
        "pwrite64",
        "copy_file_range",
        "fsync",
        "fdatasync",
        "/rename",
        "openat",
        "unlink",
        "mkdir",
        "close",
    ),
    "error=ENOSPC": ("pwrite64", "copy_file_range", "fsync", "openat", "mkdir"),
    "error=EIO": ("pwrite64", "fsync", "fdatasync", "/rename", "pread64"),
}
"""Which calls meet which fault. An error in `write` or `read` is not among them: the threads of the Delta library wake each
other by writing eight bytes to an eventfd, which no full disk refuses, and wait for ever where that is made to fail."""
OF_A_FAULT = {"packages": ["container", "state", "defects"], "media_files": ["locator"], "fingerprints": ["sandbox"]}
"""Columns that tell the first of two equal packages from its duplicate, and what isolated the worker: without bubblewrap, where
a fault meets that while it sets up, the others of its layers hold, and the row says so."""
PATIENCE = 240
"""Seconds without any computing after which a stage under fault counts as hanging: one that only waits for its turn on a busy
machine computes a little all the time."""
LINGERING = 10
"""Seconds that what a stage has started may take to end after it."""
LONGEST = 3600
"""Seconds after which a stage counts as hanging though it computes."""
NOT_ROWS = frozenset({"audit", "audit_head"})
"""Tables of the case store that tell when by the clock, not what."""


@dataclass(frozen=True)
class Point:
    """One fault: in which stage, which call, which fault, and the how manieth call meets it."""

    stage: str
    call: str
    fault: str
    when: int

    def __str__(self) -> str:
        return f"{self.stage}: {self.call} {self.when} {self.fault}"


# -- children --------------------------------------------------------------------------------------------------------


def forked(
    work: Callable[[], object], *, said: Path, calls: Iterable[str] = (), to: socket.socket | None = None
) -> int:
    """Start `work` in a child; what it says goes to the file `said`, its `calls` to who is at the other end of `to`. Returns the
    child's number."""
    child = os.fork()
    if child:
        while os.getsid(child) != child:  # from then on `kill_session` finds it
            time.sleep(0.001)
        return child
    os.setsid()
    descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    status = 1
    try:
        if to is not None:
            faults.hand_over(to, calls)
        work()
        status = 0
    except BaseException:  # noqa: BLE001 - the child ends here, whatever it was
        traceback.print_exc()
    finally:
        os._exit(status)


def ended(child: int, patience: float, wait: Callable[[float], object] = time.sleep) -> int | None:
    """Wait status of the child, or None after killing its session because it hung; `wait` lets some seconds pass."""
    began = moved = looked = time.monotonic()
    spent = -1
    while (now := time.monotonic()) - moved < patience and now - began < LONGEST:
        number, status = os.waitpid(child, os.WNOHANG)
        if number:
            return status
        if now - looked > 1:
            before, spent, looked = spent, ticks_of_session(child), now
            moved = now if spent != before else moved
        wait(0.01)
    kill_session(child)
    os.waitpid(child, 0)
    return None


def ticks_of_session(leader: int) -> int:
    """Processor time of all processes of a session so far, in ticks of the system."""
    found = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == leader:
            found += int(fields[11]) + int(fields[12])
    return found


def kill_session(child: int) -> None:
    """SIGKILL to the child and what it started; the worker's fork server has a session of its own and ends with its pipe."""
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        return


def plain(work: Callable[[], object], said: Path) -> None:
    """Run `work` in a child; raise RuntimeError with what it said unless it ends well."""
    if ended(forked(work, said=said), PATIENCE) != 0:
        raise RuntimeError(said.read_text()[-3000:])


def met(
    work: Callable[[], object], said: Path, calls: Sequence[str], fault: str = "", when: int = 0
) -> tuple[int | None, Counter[tuple[int, str]]]:
    """Run `work` in a child whose `when`-th of the calls meets the fault; its wait status, None when it hung, and how often each of
    its threads, and of what it started, made each call."""
    here, there = socket.socketpair()
    with here, there:
        child = forked(work, said=said, calls=calls, to=there)
        there.close()
        listener = faults.Listener(here, calls, fault, when)
    try:
        status = ended(child, PATIENCE, listener.serve)
        end = time.monotonic() + LINGERING
        while not listener.over and time.monotonic() < end:
            listener.serve(0.01)
            faults.bury(kill=False)
        # bubblewrap, hit by the fault while it sets up, waits for a half that is gone
        faults.bury(kill=True)
    finally:
        listener.close()
    return status, listener.seen


def counted(work: Callable[[], object], said: Path) -> Counter[str]:
    """Run `work` in a child, undisturbed; how often its busiest thread made each call of FAULTS. Raises RuntimeError with what it said
    unless it ends well."""
    status, seen = met(work, said, sorted({call for calls in FAULTS.values() for call in calls}))
    if status != 0:
        raise RuntimeError(said.read_text()[-3000:])
    most: Counter[str] = Counter()
    for (_, call), count in seen.items():
        most[call] = max(most[call], count)
    return most


# -- the night -------------------------------------------------------------------------------------------------------


class Nights:
    """A small night, its homes before every stage, and what it gives undisturbed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said = folder / "said.txt"
        self.settings = Settings(
            home=folder / "start", landing=folder / "start" / "landing", shard_files=12, threads=1, log_level="ERROR"
        )
        self.stages = [s.name for s in nightly.STAGES]
        self.seconds = 0.0
        self.calls: dict[str, Counter[str]] = {}
        """By stage, how often its busiest thread made each call of FAULTS, undisturbed."""

    def prepare(self) -> None:
        """Landing and release, made by the command line; then every stage once, undisturbed."""
        for words in (
            ["sample", "--seed", "3", "--referrals", "8", "--known", "12", "--unknown", "30", "--day", "2026-11-20"],
            ["night", "stage", "hashset_import", "--run-id", "setup"],
            ["night", "stage", "hashset_release", "--run-id", "setup"],
        ):
            environment = {k: v for k, v in os.environ.items() if not k.startswith("TRIAGE")}
            environment |= {"TRIAGE_HOME": str(self.folder / "start"), "TRIAGE_LOG_LEVEL": "ERROR"}
            subprocess.run(
                [sys.executable, "-m", "pipeline", *words],
                env=environment,
                cwd=ROOT,
                check=True,
                stdout=subprocess.DEVNULL,
            )
        shutil.rmtree(self.folder / "start" / "runs")
        for which in nightly.STAGES:
            importlib.import_module(which.module)
        nights.start(self.settings, RUN, AS_OF)
        # the media stays in start/landing for all copies, and so does the release, which no stage of the night writes
        self.copy(self.folder / "start", self.folder / "done")
        for stage in self.stages:
            self.copy(self.folder / "done", self.folder / f"before-{stage}")
            self.calls[stage] = counted(lambda stage=stage: self.run(self.folder / "done", stage), self.said)  # type: ignore[misc]
        began = time.monotonic()
        self.copy(self.folder / f"before-{self.stages[0]}", self.folder / "timed")
        plain(lambda: self.run_all(self.folder / "timed"), self.said)
        self.seconds = time.monotonic() - began
        self.expected = {stage: self.outcome(self.folder / f"before-{stage}") for stage in self.stages[1:]}
        self.expected[""] = self.outcome(self.folder / "done")

    def after(self, stage: str) -> dict[str, str]:
        """What stands published after a stage: what stands before the next one."""
        return self.expected[(self.stages[self.stages.index(stage) + 1 :] or [""])[0]]

    def home_after(self, stage: str) -> Path:
        """The home of the undisturbed night after a stage."""
        following = self.stages[self.stages.index(stage) + 1 :]
        return self.folder / (f"before-{following[0]}" if following else "done")

    def at(self, home: Path) -> Settings:
        return replace(self.settings, home=home)

    def run(self, home: Path, stage: str) -> None:
        """One stage with all its shards."""
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
        settings, which = self.at(home), nightly.find(stage)
        night = nights.load(settings, RUN)
        for shard in nightly.plan_shards(settings, which, night) if which.sharded else [None]:
            nightly.run_stage(settings, which, night, shard)

    def run_all(self, home: Path) -> None:
        for stage in self.stages:
            self.run(home, stage)

    def copy(self, source: Path, target: Path) -> None:
        """A home without its landing folder and with the shared release."""
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("landing", "releases", "hashsets"))
        releases = self.folder / "start" / "releases"
        (target / "releases").symlink_to(releases)

    def asked(self, work: Callable[[], dict[str, str]]) -> dict[str, str]:
        """What `work` returns, in a child: a process that has opened a Delta table can fork no child that opens one."""
        answer = self.folder / "answer.json"
        plain(lambda: answer.write_text(json.dumps(work())), self.said)
        found: dict[str, str] = json.loads(answer.read_text())
        return found

    def outcome(self, home: Path) -> dict[str, str]:
        """SHA-256 of every published part, and of the rows of every table of the case store."""
        return self.asked(lambda: self._outcome(home))

    def repeated(self, home: Path, work: Callable[[], object]) -> dict[str, str]:
        """What is published after doing the work once more: what is visible before and after it must be whole. All in one
        child, since starting one costs as much as a stage does. Raises RuntimeError with what it said."""

        def looked() -> dict[str, str]:
            self.sound(home)
            work()
            self.sound(home)
            return self._outcome(home)

        return self.asked(looked)

    def _outcome(self, home: Path) -> dict[str, str]:
        parts = {p.name: p.sha256 for c in Lake(home / "lake").commits() for p in c.parts}
        database = home / "cases.sqlite"
        if database.exists():
            parts |= rows(database)
        return parts

    def contents(self, home: Path) -> dict[str, str]:
        """SHA-256 of the rows of every table of the lake, in whatever parts and without OF_A_FAULT, and of the case store."""
        return self.asked(lambda: self._contents(home))

    def _contents(self, home: Path) -> dict[str, str]:
        lake = Lake(home / "lake")
        names = {part.table for commit in lake.commits() for part in commit.parts}
        found = {}
        for name in names:
            table = lake.read(name)
            found[name] = digest(map(repr, table.drop_columns(OF_A_FAULT.get(name, [])).to_pylist()))
        database = home / "cases.sqlite"
        return found | (rows(database) if database.exists() else {})

    def sound(self, home: Path) -> None:
        """What is visible is whole. Raises IntegrityError otherwise."""
        Lake(home / "lake").verify()
        if (home / "cases.sqlite").exists():
            opened = open_store(self.at(home))
            try:
                outside = {a.seq: a.hash for a in anchors.read(opened.settings)}
                with opened.reader() as session, closing(audit_log.rows(session)) as found:
                    audit_log.check(found, outside)
            finally:
                opened.close()


def rows(database: Path) -> dict[str, str]:
    """Digest of the rows of each table, but those of the audit log."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        names = [n for (n,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        tables = {name: list(connection.execute(f'SELECT * FROM "{name}"')) for name in set(names) - NOT_ROWS}
    return {f"cases:{name}": digest(map(repr, lines)) for name, lines in tables.items() if lines}


def digest(lines: Iterable[str]) -> str:
    """SHA-256 of the lines in alphabetical order."""
    return hashlib.sha256("\n".join(sorted(lines)).encode("utf-8", "surrogatepass")).hexdigest()


# -- faults ----------------------------------------------------------------------------------------------------------


def chosen(night: Nights, points: int, chance: random.Random) -> list[Point]:
    """`points` faults, the same number for each stage; a call that a stage does not make is not chosen."""
    calls, found = night.calls, []
    for number in range(points):
        stage = night.stages[number % len(night.stages)]
        fault = chance.choice(sorted(FAULTS))
        call = chance.choice([c for c in FAULTS[fault] if calls[stage][c]])
        found.append(Point(stage, call, fault, chance.randint(1, calls[stage][call])))
    return found


def tried(night: Nights, point: Point) -> tuple[str, str]:
    """Meet the fault, look, run again, compare. Returns how the stage ended and what was wrong (nothing: empty)."""
    home = night.folder / "tried"
    night.copy(night.folder / f"before-{point.stage}", home)
    status, _ = met(lambda: night.run(home, point.stage), night.said, [point.call], point.fault, point.when)
    how = "hung" if status is None else "killed" if os.WIFSIGNALED(status) else "failed" if status else "finished"
    try:
        found = night.repeated(home, lambda: night.run(home, point.stage))
    except RuntimeError as error:
        return how, f"{point}, {how}: {error}"
    if how == "hung":
        return how, f"{point}: hung"
    differs = difference(found, night.after(point.stage))
    if differs and how == "finished":
        differs = difference(night.contents(home), night.contents(night.home_after(point.stage)))
    return how, f"{point}, {how}: {differs}" if differs else ""


def killed(night: Nights, chance: random.Random, kills: int, home: Path) -> tuple[int, str]:
    """A night killed up to `kills` times at random moments and then run to its end. Returns kills and what was wrong."""
    night.copy(night.folder / f"before-{night.stages[0]}", home)
    done = 0
    while done < kills:
        child = forked(lambda: night.run_all(home), said=night.said)
        # an interrupted night has less left to do each time, so most kills come early in what is left
        deadline = time.monotonic() + night.seconds * chance.betavariate(1, 2)
        status = None
        while time.monotonic() < deadline and status is None:
            number, found = os.waitpid(child, os.WNOHANG)
            status = found if number else None
            time.sleep(0.002)
        if status is None:
            kill_session(child)
            os.waitpid(child, 0)
            done += 1
        elif status != 0:
            return done, f"after {done} kills: {night.said.read_text()[-2000:]}"
        else:  # it came to its end: begin anew
            night.copy(night.folder / f"before-{night.stages[0]}", home)
    try:
        found = night.repeated(home, lambda: night.run_all(home))
    except RuntimeError as error:
        return done, f"after {done} kills: {error}"
    return done, difference(found, night.expected[""])


def difference(found: dict[str, str], expected: dict[str, str]) -> str:
    """Names of what differs, or an empty text."""
    names = sorted(n for n in found.keys() | expected.keys() if found.get(n) != expected.get(n))
    return f"differs: {', '.join(names)}" if names else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=14, help="faults at system calls")
    parser.add_argument("--kills", type=int, default=6, help="kills of whole nights")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    wrong: list[str] = []
    ends: Counter[str] = Counter()
    faults.adopt()
    with tempfile.TemporaryDirectory(prefix="triage-crashes-") as folder:
        night = Nights(Path(folder))
        night.prepare()
        points = chosen(night, options.points, chance) if options.points else []
        for number, point in enumerate(points, 1):
            how, fault = tried(night, point)
            ends[f"{point.fault} {how}"] += 1
            wrong += [fault] if fault else []
            tell(f"fault {number}/{len(points)} {point} {how} {'WRONG' if fault else ''}")
        kills = 0
        while kills < options.kills:
            more, fault = killed(night, chance, min(5, options.kills - kills), night.folder / "killed")
            kills += more
            wrong += [fault] if fault else []
            tell(f"kill {kills}/{options.kills} {'WRONG' if fault else ''}")
            if not more:
                break
    result = {"points": len(points), "kills": kills, "ends": dict(sorted(ends.items())), "wrong": wrong}
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
    return 1 if wrong else 0


def tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
