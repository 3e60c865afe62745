"""A whole night by the command line: what it reports, what it survives, and that it needs no network.

One small night is run undisturbed; every test works on a copy of the home as it was before, or after it.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pipeline import records
from pipeline.cases.views import queue as listing
from pipeline.contract import load
from pipeline.errors import IntegrityError, ReconciliationError
from pipeline.lake import Lake, run_rows
from pipeline.lake.delta import Log
from pipeline.lake.ledger import FOLDER, Ledger
from pipeline.lake.places import LakePlace
from pipeline.night import reconcile
from pipeline.people import users
from pipeline.settings import ROOT, Settings
from pipeline.store.opening import open_store
from tests.commands import Commands

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

OWN = pwd.getpwuid(os.getuid()).pw_name
AS_OF = "2026-11-21T01:00:00+0000"
MORNING = datetime(2026, 11, 21, 8, tzinfo=UTC)


COMMANDS = Commands()


@pytest.fixture(scope="module", autouse=True)
def commands() -> Iterator[None]:
    """Ends the process that the commands are forks of."""
    yield
    COMMANDS.close()


def triage(
    home: Path, *words: str, started: bool = False, before: tuple[str, ...] = (), **more: str
) -> subprocess.CompletedProcess[str]:
    """A `triage` command on a home, `started` as a process of its own where that is asked; `before` is a command that starts it,
    `more` further environment.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TRIAGE")}
    environment |= {"TRIAGE_HOME": str(home), "TRIAGE_SHARD_FILES": "20", "TRIAGE_LOG_LEVEL": "ERROR", **more}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"  # a limit on file sizes would cut compiled modules of the checkout too
    if not (started or before or more):
        return COMMANDS.run(words, environment)
    command = [*before, sys.executable, "-m", "pipeline", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1800, umask=0o022)


def done(home: Path, *words: str, **more: Any) -> str:
    ended = triage(home, *words, **more)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout


def night(home: Path, **more: Any) -> subprocess.CompletedProcess[str]:
    return triage(home, "night", "run", "--run-id", "n", "--as-of", AS_OF, **more)


def tables(home: Path) -> dict[str, list[str]]:
    lake = Lake(home / "lake")
    return {t: sorted(map(repr, lake.read(t).to_pylist())) for t in records.tables()}


def queue(home: Path) -> list[dict[str, Any]]:
    """The whole queue as it is at one moment: what is past its target, and by how long, is a matter of when it is asked."""
    store = open_store(Settings(home=home), clock=lambda: MORNING)
    try:
        with store.listing() as session:
            return [row.as_dict() for row in listing.page(session, users.actor(session, OWN), size=500).rows]
    finally:
        store.close()


@cache
def undisturbed(home: Path) -> tuple[dict[str, list[str]], list[dict[str, Any]]]:
    """Tables and queue of the home after the undisturbed night, which nobody changes."""
    return tables(home), queue(home)


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A home with packages and a release, and the same after an undisturbed night."""
    before = tmp_path_factory.mktemp("night") / "before"
    done(before, "sample", "--seed", "5", "--referrals", "10", "--day", "2026-11-20", started=True)
    (before / "password").write_text("synthetic password 1\n")
    done(before, "users", "first", OWN, "--name", "Tester", "--password-file", str(before / "password"))
    done(before, "users", "change", OWN, "--role", "administrator", "--role", "analyst", "--compartment", "ucol")
    for stage in ("hashset_import", "hashset_release"):
        done(before, "night", "stage", stage, "--run-id", "n", started=True)
    shutil.rmtree(before / "runs")
    after = before.parent / "after"
    shutil.copytree(before, after, symlinks=True)
    ended = night(after, started=True)
    assert ended.returncode == 0, ended.stderr
    assert "Reconciliation" in ended.stdout and "DIFFERS" not in ended.stdout
    return before, after


@pytest.fixture
def home(homes: tuple[Path, Path], tmp_path: Path) -> Path:
    """A fresh copy of the home before the night."""
    return Path(shutil.copytree(homes[0], tmp_path / "home", symlinks=True))


@pytest.fixture
def finished(homes: tuple[Path, Path], tmp_path: Path) -> Path:
    """A fresh copy of the home after the night."""
    return Path(shutil.copytree(homes[1], tmp_path / "finished", symlinks=True))


def same(home: Path, homes: tuple[Path, Path]) -> None:
    """Run the night on `home` once more, undisturbed, and compare it with the undisturbed one."""
    ended = night(home)
    assert ended.returncode == 0, ended.stderr
    assert (tables(home), queue(home)) == undisturbed(homes[1])
    assert done(home, "audit", "verify")


def rewind(lake: Path, stage: str) -> int:
    """Put the lake back to before a stage's first commit, as a copy from the middle of the night has it; commits gone."""
    heads = Ledger(LakePlace(lake), lambda name: lake / name).heads()
    first = min(h["seq"] for h in heads.to_pylist() if h["stage"] == stage)
    log = sorted((lake / FOLDER / "_delta_log").glob("*.json"))
    since = next(n for n, entry in enumerate(log) if f'"path":"{first}-' in entry.read_text())
    for entry in log[since:]:
        entry.unlink()
    for folder in lake.glob("*/_delta_log"):
        if folder.parent.name not in (FOLDER, run_rows.FOLDER):
            shutil.rmtree(folder)  # tables are settled at the end of the night
    return int(heads.num_rows - first + 1)


class TestPrivate:
    def test_nothing_that_a_night_writes_is_for_others(self, homes: tuple[Path, Path]) -> None:
        """Under a machine's usual umask too: lake, quarantine, reports, runs, case store, releases."""
        done(homes[1], "export", "reporting")
        written = [p for p in homes[1].rglob("*") if p.name != "password"]
        assert len(written) > 50
        assert not [str(p) for p in written if p.lstat().st_mode & 0o077 and not p.is_symlink()]

    def test_a_restored_store_is_made_private(self, finished: Path) -> None:
        (finished / "cases.sqlite").chmod(0o644)
        done(finished, "queue", "list")
        assert (finished / "cases.sqlite").stat().st_mode & 0o077 == 0


class TestReport:
    def test_it_says_what_came_in_and_what_became_of_it(self, homes: tuple[Path, Path]) -> None:
        report = json.loads(done(homes[1], "night", "report", "--json"))
        text = done(homes[1], "night", "report")
        assert report["reconciles"] and all(c["into"] == c["out"] for c in report["checks"])
        assert report["packages_quarantined"] and report["quarantine_reasons"]
        assert "Everything that came in is accounted for." in text
        assert all(reason in " ".join(text.split()) for reason in report["quarantine_reasons"])
        assert report["stages"]["fingerprint"]["cpu_seconds"] > 0.5 * report["stages"]["fingerprint"]["read"] / 100

    def test_a_night_that_is_run_twice_is_not_counted_twice(self, finished: Path, homes: tuple[Path, Path]) -> None:
        assert night(finished).returncode == 0
        once, twice = (json.loads(done(h, "night", "report", "--json")) for h in (homes[1], finished))
        assert twice["checks"] == once["checks"]
        for name, row in once["stages"].items():
            assert {k: twice["stages"][name][k] for k in ("read", "kept", "rejected")} == {
                k: row[k] for k in ("read", "kept", "rejected")
            }, name

    def test_status_says_what_needs_the_operator(self, finished: Path) -> None:
        (row,) = json.loads(done(finished, "status", "--format", "json"))
        assert row["state"] == "reconciled" and row["last_stage"] == "reconcile" and row["quarantined"] > 0
        assert f"{row['quarantined']} packages to send back" in row["needs"]
        (finished / "runs" / "n" / "report.json").unlink()
        (row,) = json.loads(done(finished, "status", "--format", "json"))
        assert row["state"] == "unfinished" and "run it again" in row["needs"]

    @pytest.mark.parametrize(
        ("lost", "says"),
        [
            ("ingest", "packages in the landing folder"),
            ("fingerprint", "distinct contents present = fingerprints"),
            ("match", "units of fingerprints = matched units"),
            ("assess", "cases = cases assessed"),
        ],
    )
    def test_what_is_lost_after_its_stage_fails_the_run(self, finished: Path, lost: str, says: str) -> None:
        assert rewind(finished / "lake", lost) > 0
        settings = Settings(home=finished)
        with pytest.raises(ReconciliationError, match=says):
            reconcile.run(settings, load(settings, "n"))
        report = json.loads((finished / "runs" / "n" / "report.json").read_text())
        assert report["reconciles"] is False
        assert "DOES NOT RECONCILE" in (finished / "runs" / "n" / "report.txt").read_text()
        assert "do not work the queue" in done(finished, "status", "--format", "json")

    def test_a_case_that_the_store_lost_fails_the_run(self, finished: Path) -> None:
        with closing(sqlite3.connect(finished / "cases.sqlite")) as store, store:
            store.execute("PRAGMA foreign_keys = OFF")
            (case,) = store.execute("SELECT case_id FROM cases LIMIT 1").fetchone()
            store.execute("DELETE FROM assessments WHERE case_id = ?", (case,))
            store.execute("DELETE FROM cases WHERE case_id = ?", (case,))
        settings = Settings(home=finished)
        with pytest.raises(ReconciliationError, match="cases assessed = cases in the store"):
            reconcile.run(settings, load(settings, "n"))

    def test_a_flipped_bit_in_any_part_fails_the_run(self, finished: Path) -> None:
        settings = Settings(home=finished)
        lake = Lake.of(settings)
        ledger = [lake.place.local(f"{FOLDER}/{f.name}") for f in Log(lake.place, FOLDER).files()]
        parts = [*ledger, *(p.path for p in lake.everything())]
        assert ledger and len({p.parent.name for p in parts}) > 8
        for path in parts:
            whole = path.read_bytes()
            path.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
            with pytest.raises(IntegrityError, match="not what was written"):
                reconcile.run(settings, load(settings, "n"))
            path.write_bytes(whole)
        assert reconcile.run(settings, load(settings, "n")).balanced


class TestSameEvidence:
    def test_copies_other_names_and_another_order_give_the_same_queue(
        self, home: Path, homes: tuple[Path, Path]
    ) -> None:
        """Every folder package three times, under names that turn the order round: one referral, one case, no file twice."""
        folders = [
            p for p in (home / "landing").glob("*/*") if p.is_dir() and p.parent.name not in {"hashsets", "lists"}
        ]
        assert len(folders) > 3
        for number, folder in enumerate(sorted(folders)):
            for copy in ("a", "b"):
                shutil.copytree(folder, folder.parent / f"{copy}{9999 - number}-{copy}")
        assert night(home).returncode == 0

        def evidence(place: Path) -> dict[str, Any]:
            lake = Lake(place / "lake")
            return {
                "queue": sorted((r["case_id"], r["band"], r["score"], r["top_reasons"]) for r in queue(place)),
                "referrals": sorted(lake.read("referrals", ["referral_id"])["referral_id"].to_pylist()),
                "contents": sorted(set(lake.read("fingerprints", ["sha256"])["sha256"].to_pylist())),
                "matches": sorted(
                    map(repr, lake.read("matches", ["sha256", "media_key", "kind", "distance"]).to_pylist())
                ),
            }

        assert evidence(home) == evidence(homes[1])


needs_namespaces = pytest.mark.skipif(
    subprocess.run(["unshare", "-rmn", "true"], capture_output=True).returncode != 0
    if shutil.which("unshare")
    else True,
    reason="user namespaces are not available: `unshare -rmn` fails here",
)


class TestBadMachine:
    """A machine that fails: a clear reason, nothing half done, and the next run needs no help."""

    @needs_namespaces
    def test_the_whole_night_needs_no_network(self, home: Path, homes: tuple[Path, Path]) -> None:
        ended = night(home, before=("unshare", "-rn"))
        assert ended.returncode == 0, ended.stderr
        assert tables(home) == undisturbed(homes[1])[0]

    @pytest.mark.parametrize("limit", [4_096, 60_000])
    @pytest.mark.skipif(shutil.which("prlimit") is None, reason="prlimit is not installed")
    def test_a_file_that_cannot_grow(self, home: Path, homes: tuple[Path, Path], limit: int) -> None:
        """Every file that is written ends at `limit` bytes, as on a disk that fills up."""
        ended = night(home, before=("prlimit", f"--fsize={limit}"))
        assert ended.returncode in (1, 3, 4), ended.stderr
        assert ended.stderr.count("\n") < 12 and "Traceback" not in ended.stderr
        same(home, homes)

    @needs_namespaces
    def test_a_full_disk(self, home: Path, homes: tuple[Path, Path], tmp_path: Path) -> None:
        """The lake lies on a disk of 200 KB: the run says so, and goes on where it stopped when there is room."""
        (home / "lake").mkdir(exist_ok=True)
        kept = tmp_path / "kept"
        script = f'mount -t tmpfs -o size=200k none {home}/lake && {{ "$@"; status=$?; cp -r {home}/lake {kept}; exit $status; }}'
        ended = night(home, before=("unshare", "-rm", "sh", "-c", script, "sh"))
        assert ended.returncode == 3 and "No space left on device" in ended.stderr, ended.stderr
        assert Lake(kept).verify() >= 0
        shutil.rmtree(home / "lake")
        shutil.copytree(kept, home / "lake")
        same(home, homes)

    @needs_namespaces
    def test_a_read_only_disk(self, home: Path, homes: tuple[Path, Path]) -> None:
        script = f'mount --bind {home} {home} && mount -o remount,bind,ro {home} && exec "$@"'
        ended = night(home, before=("unshare", "-rm", "sh", "-c", script, "sh"))
        assert ended.returncode == 3 and "Read-only file system" in ended.stderr, ended.stderr
        assert "Traceback" not in ended.stderr
        same(home, homes)

    def test_a_case_store_that_somebody_holds(self, home: Path, homes: tuple[Path, Path]) -> None:
        with closing(sqlite3.connect(home / "cases.sqlite", isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            ended = night(home)
            holder.execute("ROLLBACK")
        assert ended.returncode == 3 and "locked" in ended.stderr and "Traceback" not in ended.stderr, ended.stderr
        same(home, homes)

    def test_a_clock_that_jumps(
        self, home: Path, homes: tuple[Path, Path], jumping: Callable[[int], dict[str, str]]
    ) -> None:
        """Between stages the wall clock jumps by more than a year, back and forth: every row has the run's own clock."""
        done(home, "night", "stage", "ingest", "--run-id", start(home))
        done(home, "night", "stage", "fingerprint", "--run-id", "n", **jumping(-400))
        done(home, "night", "run", "--run-id", "n", **jumping(400))
        assert (tables(home), queue(home)) == undisturbed(homes[1])


def start(home: Path) -> str:
    """Begin run `n` at its clock, as the first task of the night does."""
    begun = "from pipeline.night import stages as nightly; nightly.begin('n', '2026-11-21T01:00:00+00:00')"
    environment = {**os.environ, "TRIAGE_HOME": str(home)}
    subprocess.run([sys.executable, "-c", begun], env=environment, cwd=ROOT, check=True)
    return "n"


CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
static long shift(void) { const char *s = getenv("CLOCK_SHIFT"); return s ? atol(s) : 0; }
int clock_gettime(clockid_t id, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, at);
    if (!result && id == CLOCK_REALTIME) at->tv_sec += shift();
    return result;
}
int gettimeofday(struct timeval *at, void *zone) {
    struct timespec now;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec; at->tv_usec = now.tv_nsec / 1000;
    return result;
}
time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


@pytest.fixture(scope="module")
def jumping(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], dict[str, str]]:
    """Environment in which a process reads the wall clock some days off."""
    folder = tmp_path_factory.mktemp("clock")
    (folder / "clock.c").write_text(CLOCK)
    library = folder / "clock.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, folder / "clock.c", "-ldl"], check=True)

    def environment(days: int) -> dict[str, str]:
        return {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(days * 86_400)}

    said = subprocess.run(
        [sys.executable, "-c", "import time; print(time.time())"],
        env={**os.environ, **environment(400)},
        capture_output=True,
        text=True,
        check=True,
    )
    import time

    assert abs(float(said.stdout) - time.time() - 400 * 86_400) < 600
    return environment
