"""`make demo`: a night on sample referrals through the real DAGs, in one process, and the queue that comes out.

Writes only below TRIAGE_HOME (default var/demo). Nothing is fetched and nothing is left running. A second call takes up
the demonstration that is there, runs the same night once more and says whether that changed anything.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import pwd
import secrets
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from deploy.embedded import ROOT, environment, prepare, run_dag
from pipeline.night import turns
from pipeline.settings import Settings

MARK = ".demonstration"
RUN = "demonstration"
SHOWN = 15
"""Cases of the queue that are printed."""
DEMONSTRATION = {"TRIAGE_FORCE": "ZZ", "TRIAGE_LOG_LEVEL": "ERROR", "TRIAGE_SHARD_FILES": "100"}
"""Settings of a demonstration where the caller has none of his own."""
LASTING = ("case_id", "version", "band", "score", "top_reasons", "source", "state", "holder", "due_at", "flagged")
"""What the night said of a case. The list's other columns depend on the clock or on who looks."""
PASSWORD_FILE = "demo-password"
ROLES = ("administrator", "supervisor", "analyst", "dmi", "auditor")
console = Console(soft_wrap=True, width=max(130, Console().width))


def main() -> int:
    """Run the demonstration; exit code 1 when something planted as an exact copy was missed or a DAG failed."""
    arguments = options()
    home = Path(os.environ.get("TRIAGE_HOME") or ROOT / "var" / "demo")
    made = what_is_made(arguments)
    again = not arguments.anew and taken_up(home, made)
    if not again:
        empty(home)
    os.environ.update(environment(home))
    os.environ.update({name: value for name, value in DEMONSTRATION.items() if name not in os.environ})
    if again:
        say(f"{shown(home)} holds this demonstration already; `make demo ARGS=--anew` would make it anew.")
    else:
        first_night(home, arguments)
        (home / MARK).write_text(made)
    before = everything(home)
    conf = {"run_id": RUN, "as_of": f"{day(home)}T02:00:00+00:00"}
    with step("DAG hashset_refresh once more"):
        dag("hashset_refresh", conf)
    with step("DAG nightly_triage once more, the same night"):
        dag("nightly_triage", conf)
    changed = differing(before, everything(home))
    turns.free(Settings.load(), RUN)  # its Airflow ends with this program: no command could ask whether it is at work
    return report(home, changed)


def first_night(home: Path, arguments: argparse.Namespace) -> None:
    """Samples, accounts, a release and the night."""
    with step(f"{arguments.referrals} sample referrals and a hash set in VICS 2.0 form, in {shown(home / 'landing')}"):
        triage("sample", "--seed", str(arguments.seed), "--referrals", str(arguments.referrals))
    with step("Airflow's own database (SQLite)"), quiet():
        prepare()
    with step("accounts: you at the command line, and `demo` for the console"):
        accounts(home)
    conf = {"run_id": RUN, "as_of": f"{day(home)}T02:00:00+00:00"}
    with step("DAG hashset_refresh: the hash set becomes release 1"):
        dag("hashset_refresh", conf)
    with step("DAG nightly_triage: ingest, fingerprint, match, assess, publish, reconcile"):
        dag("nightly_triage", conf)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--referrals", type=int, default=40, help="how many referrals to make")
    parser.add_argument("--seed", type=int, default=2026, help="seed of the sample")
    parser.add_argument("--anew", action="store_true", help="do not take up an earlier demonstration, replace it")
    return parser.parse_args()


def what_is_made(arguments: argparse.Namespace) -> str:
    """Names a demonstration: its sample, and a digest of the program and the policy that make it."""
    digest = hashlib.sha256()
    for folder in ("pipeline", "hashsets", "policy", "schemas", "dags"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".yaml", ".csv", ".json"}:
                digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    made = {
        "seed": arguments.seed,
        "referrals": arguments.referrals,
        "photographs": bool(os.environ.get("TRIAGE_CORPORA")),
        "program": digest.hexdigest(),
    }
    return json.dumps(made, sort_keys=True)


def taken_up(home: Path, made: str) -> bool:
    """Whether `home` holds this very demonstration, whole."""
    mark = home / MARK
    return mark.is_file() and mark.read_text() == made


def empty(home: Path) -> None:
    """An empty home. One that holds anything but an earlier demonstration is left alone."""
    if home.exists() and any(home.iterdir()):
        if not (home / MARK).exists():
            raise SystemExit(f"{home} holds something else than a demonstration; set TRIAGE_HOME to another folder.")
        shutil.rmtree(home)
    home.mkdir(parents=True, exist_ok=True)
    (home / MARK).touch()


def say(text: str) -> None:
    console.print(text, markup=False, highlight=False)


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """Say what is done, and how long it took."""
    started = time.monotonic()
    console.print(f"[bold]·[/bold] {title} ... ", end="", highlight=False)
    yield
    console.print(f"{time.monotonic() - started:.1f} s", highlight=False)


@contextlib.contextmanager
def quiet() -> Iterator[io.StringIO]:
    """Keep what Airflow says; it is shown when something fails."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            yield said
    except BaseException:
        sys.stderr.write(said.getvalue())
        raise


def triage(*words: str) -> str:
    """Run a `triage` command in this process; returns what it printed."""
    return told(*words)[0]


def told(*words: str) -> tuple[str, str]:
    """Run a `triage` command in this process; returns what it printed, and what it said on standard error."""
    from pipeline.cli import triage as command

    output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    said = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(said):
        command.main(args=list(words), standalone_mode=False)
    output.seek(0)
    return output.read(), said.getvalue()


def dag(name: str, conf: dict[str, Any]) -> None:
    """Run a DAG quietly; on failure show all it said and stop."""
    with quiet() as said:
        state = run_dag(name, conf)
    if state != "success":
        sys.stderr.write(said.getvalue())
        raise SystemExit(f"DAG {name} ended as {state}.")


def accounts(home: Path) -> None:
    """The machine account may use the command line; `demo` may sign in to the console with a password made here."""
    own = pwd.getpwuid(os.getuid()).pw_name
    secret = home / PASSWORD_FILE
    secret.touch(mode=0o600)
    secret.write_text(secrets.token_urlsafe(16) + "\n")
    roles = [word for role in ROLES for word in ("--role", role)]
    triage("users", "first", own, "--name", "Operator of the demonstration", "--password-file", str(secret))
    triage("users", "change", own, *roles, "--compartment", "ucol")
    triage("users", "add", "demo", "--name", "Demonstration", *roles, "--password-file", str(secret))


def day(home: Path) -> str:
    return str(json.loads((home / "ground_truth.json").read_text())["day"])


def everything(home: Path) -> dict[str, str]:
    """What is published, by name: each file's moment of change and SHA-256, and each case as the night left it. Equal when
    nothing changed. Two things are left out: what each attempt of a stage reported (an attempt that finds nothing to do is
    on record too), and what a list says of a case by the clock ("target in 7 hours"), which changes by itself.
    """
    from pipeline.lake import run_rows

    found, said = {}, home / "lake" / run_rows.FOLDER
    for folder in ("lake", "releases", "quarantine"):
        for path in (home / folder).rglob("*"):
            if path.is_file() and said not in path.parents:
                held = hashlib.sha256(path.read_bytes()).hexdigest()
                found[str(path.relative_to(home))] = f"{path.stat().st_mtime_ns} {held}"
    words = ("queue", "list", "--format", "json", "--order", "case", "--limit", "500", "--columns", ",".join(LASTING))
    for case in json.loads(triage(*words)):
        found[f"case {case['case_id']}"] = json.dumps(case, sort_keys=True)
    return found


def differing(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Names that came, went or changed, in order."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def report(home: Path, changed: list[str]) -> int:
    """Print the queue, the reconciliation, what was found of what was planted, and where everything lies."""
    from pipeline.night import report as runreport

    summary = json.loads((home / "runs" / RUN / "report.json").read_text())
    listed, strip = told("queue", "list", "--format", "json", "--limit", "500")
    waiting = json.loads(listed)
    console.rule(f"The queue, most urgent first: {min(SHOWN, len(waiting))} of {len(waiting)} cases")
    say(strip)
    console.print(queue(waiting[:SHOWN]))
    console.rule("What came in is what came out")
    console.print(runreport.checks_table(summary))
    console.rule("What was planted")
    judged, wrong = judge(home)
    for truth, counts in sorted(judged.items()):
        console.print(
            f"  {truth:<16} planted {counts['planted']:>4}   found {counts['found']:>4}   missed {counts['missed']:>4}",
            highlight=False,
        )
    console.print(f"  pictures not in the hash set but matched: {wrong}", highlight=False)
    names = ", ".join(changed[:SHOWN]) + (" ..." if len(changed) > SHOWN else "")
    say(f"  the second run of the night changed {f'{len(changed)} things: {names}' if changed else 'nothing'}")
    console.rule("Where everything lies")
    for name, what in PLACES.items():
        console.print(f"  {shown(home / name):<40} {what}", markup=False, highlight=False)
    console.print(NEXT.format(home=shown(home), case=waiting[0]["case_id"]), markup=False, highlight=False)
    missed = judged["exact copy"]["missed"]
    if missed or changed or not summary["reconciles"]:
        console.print(f"FAILED: exact copies missed {missed}, things that the second run changed: {len(changed)}")
        return 1
    return 0


def queue(rows: list[dict[str, Any]]) -> Table:
    """The head of the queue as a table."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("case", "band", "score", "why", "source", "first action due", ""):
        table.add_column(name, justify="right" if name == "score" else "left")
    for row in rows:
        due = f"{row['due_at'][:16].replace('T', ' ')} ({row['urgency'].replace('_', ' ')})"
        flag = "escalate" if row["flagged"] else ""
        table.add_row(
            row["case_id"],
            row["band"].replace("_", " "),
            f"{row['score']:.1f}",
            row["top_reasons"],
            row["source"],
            due,
            flag,
        )
    return table


def judge(home: Path) -> tuple[dict[str, Counter[str]], int]:
    """Compare the sample's ground truth with the matches: counts by kind of copy, and false matches.

    A planted copy counts as found only when it is matched with the very media item it was made from.
    """
    from pipeline.lake import Lake

    truth = json.loads((home / "ground_truth.json").read_text())
    lake = Lake(home / "lake")
    known = known_media(home)
    names = {r["file_id"]: r["sha256"] for r in lake.read("media_files", ["file_id", "sha256"]).to_pylist()}
    claimed = {r["file_id"]: r["claimed_sha256"] or r["claimed_md5"] for r in lake.read("media_files").to_pylist()}
    matched: dict[bytes, set[int]] = {}
    for row in lake.read("matches", ["sha256", "file_id", "media_key", "kind"]).to_pylist():
        content = claimed[row["file_id"]] if row["file_id"] else row["sha256"]
        matched.setdefault(content, set()).add(row["media_key"])
    present = {content for content in names.values() if content}
    counts: dict[str, Counter[str]] = {"exact copy": Counter()}
    wrong = 0
    seen = set()
    for package in truth["packages"]:
        for file in package["files"]:
            content = bytes.fromhex(file["sha256"])
            if content not in present or content in seen:
                continue
            seen.add(content)
            found = matched.get(content, set())
            if file["truth"] == "unknown":
                wrong += bool(found)
                continue
            kind = "exact copy" if file["truth"] == "exact" else f"near: {file['edit']}"
            counter = counts.setdefault(kind, Counter())
            counter["planted"] += 1
            counter["found" if known[file["known"]] in found else "missed"] += 1
    return counts, wrong


def known_media(home: Path) -> dict[int, int]:
    """MediaID of the sample's hash set to media key in the release, through the MD5."""
    import pyarrow as pa

    from hashsets.release import releases

    listed = json.loads((home / "landing" / "hashsets" / "demo" / "demo.json").read_text())["value"]
    ids = [row["MediaID"] for row in listed]
    values = pa.array([bytes.fromhex(row["MD5"]) for row in listed], pa.binary())
    queries = pa.table({"query_id": pa.array(ids, pa.int64()), "algorithm": ["md5"] * len(ids), "value": values})
    pairs = releases.current(Settings.load()).exact(queries).to_pylist()
    return {pair["query_id"]: pair["media_key"] for pair in pairs}


def shown(path: Path) -> str:
    """A path relative to here, where it can be."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


PLACES = {
    "landing": "packages as they arrived; never changed",
    "lake": "referrals, fingerprints, matches, assessments (Parquet, checksummed)",
    "releases": "the known-hash store",
    "cases.sqlite": "the case queue",
    PASSWORD_FILE: "password of the account `demo`, for the console",
    "quarantine": "what could not be read, with a text to send back",
    f"runs/{RUN}/report.txt": "the run report",
}

NEXT = """
Try it:
  TRIAGE_HOME={home} .venv/bin/triage queue show {case}      one case, with every reason and its evidence
  TRIAGE_HOME={home} .venv/bin/triage --help               everything else
  TRIAGE_HOME={home} make serve                            the console and Airflow on this machine, until Ctrl-C
"""

if __name__ == "__main__":
    sys.exit(main())
