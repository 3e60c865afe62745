"""`triage night`, `triage status` and `triage settings`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from pipeline import contract as nights
from pipeline.britishtime import counted
from pipeline.contract import StageReport
from pipeline.errors import ConflictError, IntegrityError, TriageError, UsageError
from pipeline.lake import Lake
from pipeline.lake.run_rows import REPORT
from pipeline.night import failures, progress, turns
from pipeline.night import report as runreport
from pipeline.night import stages as nightly
from pipeline.output import Rows, output_options
from pipeline.settings import Settings
from pipeline.store.opening import open_store
from pipeline.watch import watching

NEWEST = 20
"""Runs that `triage status` lists."""


@click.group()
def night() -> None:
    """Run the whole night without Airflow, or one stage of it, or show how it went.

    \b
    triage night run                      everything, for tonight
    triage night stage match              one stage (all its open shards)
    triage night report                   the reconciliation of the last run

    A night goes through its stages in this order: ingest, fingerprint, match, flood, assess, publish, reporting,
    reconcile. A run has a name and a clock, both fixed at its first start: whatever is run under its name again takes it up
    where it stands, and what is done is not done again. So after a failure or a kill: mend the cause, run it again.
    """


@night.command("run")
@click.option(
    "--run-id", default=None, help="Name of the run. Default: night-<today>, so a second call is the same run."
)
@click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%S%z"]),
    default=None,
    help="Clock of a new run, with its offset, also for what it sees: a replay. Default: now.",
)
@click.option(
    "--date",
    type=click.DateTime(["%Y-%m-%d"]),
    default=None,
    help="The night of that date, as a backfill of the DAG names it: it takes in what waits now, under that name.",
)
@click.pass_obj
def run_command(settings: Settings, run_id: str | None, as_of: datetime | None, date: datetime | None) -> None:
    """Run every stage in order. What is done already is not done again.

    \b
    triage night run                                      tonight, as the DAG nightly_triage does
    triage night run --date 2026-11-20                    the night of that date: begun anew, or taken up
    triage night run --run-id trial --as-of 2026-11-21T01:00:00+0000

    Two runs never write the queue at once: while another one has its turn, this command says which and ends.

    Prints the reconciliation: what came in and what became of it. Bad packages never stop a night, they end in quarantine
    with every reason. Exit code 5 when something is not accounted for: then the queue must not be worked.
    """
    nightly.check_ready(settings)
    if date is not None and run_id is not None:
        raise UsageError("--date and --run-id both name the run.", "Give one of them.")
    run = nights.start(settings, f"night-{date:%Y-%m-%d}" if date else run_id, as_of)
    console = Console(stderr=True)
    shown = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True
    )
    with telling(settings, run.run_id), turns.held_by_command(settings, run.run_id), shown as bar:
        titles = {s.name: s.title for s in nightly.STAGES}
        task = bar.add_task("Starting", total=None)
        for report in nightly.run_night(settings, run):
            bar.update(task, description=f"{titles[report.stage]}: {report.kept} of {report.read}")
    summary = json.loads((nights.run_dir(settings, run.run_id) / "report.json").read_text())
    Console().print(runreport.checks_table(summary))


@contextmanager
def telling(settings: Settings, run: str) -> Iterator[None]:
    """Raise an alarm when the run ends in an error; somebody else's turn is none."""
    try:
        yield
    except ConflictError:
        raise
    except TriageError:
        store = open_store(settings)
        try:
            watching.run_failed(store, run, "triage night run", [])
        finally:
            store.close()
        raise


@night.command("stage")
@click.argument("name", type=click.Choice([s.name for s in (*nightly.STAGES, *nightly.EXTRA)]))
@click.option("--run-id", default=None, help="Name of the run. Default: night-<today>.")
@click.option("--whole", is_flag=True, help="reconcile: count everything anew, from the first night on.")
@click.pass_obj
@output_options
def stage_command(settings: Settings, name: str, run_id: str | None, whole: bool) -> Rows:
    """Run one stage: all its open shards. Prints what it counted.

    The stages before it are not run: `triage night run` does everything. hashset_import, hashset_release and retro_match
    are the work of the DAGs hashset_refresh and retro_match.
    """
    if whole and name != "reconcile":
        raise UsageError("--whole is for the stage reconcile.")
    nightly.check_ready(settings)
    run = nights.start(settings, run_id)
    if whole:
        from pipeline.night import reconcile  # loads what only a night needs

        return [_flat(reconcile.run(settings, run, whole=True).as_dict())]
    which = nightly.find(name)
    if which.sharded:
        done = nightly.run_shards(settings, which, run, nightly.plan_shards(settings, which, run))
        return [_flat(report.as_dict()) for report in done]
    return [_flat(nightly.run_stage(settings, which, run).as_dict())]


@night.command("turn")
@click.option("--free", is_flag=True, help="Give it up for a run that is not at work any more.")
@click.pass_obj
@output_options
def turn_command(settings: Settings, free: bool) -> Rows:
    """Which run has the turn to write the queue. Nights, refreshes and retro-matches wait for each other.

    A night that failed keeps its turn against all but the next night, since what it left half done must not be published
    by another run: run it again, or give its turn up with --free.
    """
    store = open_store(settings)
    try:
        found = turns.present(store)
    finally:
        store.close()
    if free:
        turns.free(settings)
    if found is None:
        return []
    holder, since = found
    return [{"run": holder.run, "dag": holder.dag, "dag_run": holder.dag_run, "since": since, "freed": free}]


@night.command("report")
@click.option("--run-id", default=None, help="Name of the run. Default: the last one.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON.")
@click.pass_obj
def report_command(settings: Settings, run_id: str | None, as_json: bool) -> None:
    """Show the reconciliation and the stages of a run."""
    name = run_id or last_run(settings)
    path = nights.run_dir(settings, nights.load(settings, name).run_id) / ("report.json" if as_json else "report.txt")
    if not path.is_file():
        raise UsageError(
            f"Run {name} has no report yet: it has not reached its last stage.", "`triage status` says where it is."
        )
    if as_json or not sys.stdout.isatty():
        click.echo(path.read_text(), nl=False)
    else:  # a terminal gets lines that fit it
        summary = json.loads((path.parent / "report.json").read_text())
        ran = dict.fromkeys(report.stage for report in nightly.reports(settings, name))
        summary["stages"] = {stage: summary["stages"][stage] for stage in ran if stage in summary["stages"]}
        click.echo(runreport.text(summary, Console().width), nl=False)


@night.command("floods")
@click.option(
    "--release", "media_key", type=int, default=None, help="Media key whose near matches shall count after all."
)
@click.option("--person", default=None, help="Who decides; needed with --release.")
@click.option("--reason", default=None, help="Why; needed with --release.")
@click.pass_obj
@output_options
def floods_command(settings: Settings, media_key: int | None, person: str | None, reason: str | None) -> Rows:
    """Known pictures that matched an implausible part of a night, and the decision on each.

    Their near matches are left out of every assessment until a person releases them here; exact matches always count.
    """
    from pipeline.matching import flood

    lake = Lake.of(settings)
    if media_key is not None:
        if not person or not reason:
            raise UsageError("A release needs a person and a reason.", "Add --person NAME --reason TEXT.")
        if media_key not in flood.flooded_media(lake):
            raise UsageError(f"Media {media_key} is not set aside.", "`triage night floods` lists those that are.")
        flood.release_flood(settings, media_key, person, reason, nights.load(settings, last_run(settings)))
    aside = flood.flooded_media(lake)
    rows = sorted(lake.read("floods").to_pylist(), key=lambda r: (r["run_id"], r["media_key"]))
    return [{**row, "state": "set aside" if row["media_key"] in aside else "released"} for row in rows]


@click.command()
@click.option("--all", "every", is_flag=True, help=f"Every run, not only the newest {NEWEST}.")
@click.pass_obj
@output_options(columns=("run", "state", "needs", "clock", "last_stage", "referrals", "quarantined"))
def status(settings: Settings, every: bool) -> Rows:
    """The newest runs with their state, and what in them needs the operator.

    \b
    reconciled            everything that came in is accounted for
    FAILED                stopped at the stage and for the reason that it names
    unfinished            not at its last stage: it is running, or it stopped there and can be run again
    hash sets             read hash sets; it writes no queue, so that there is nothing to reconcile
    DOES NOT RECONCILE    do not work the queue from it

    `triage night report --run-id RUN` has every count and every reason.
    """
    from hashsets.release import building

    names = nights.begun(settings)
    if not names:
        raise UsageError("Nothing has run yet.", "Start with `triage night run`.")
    earlier = 0 if every else max(0, len(names) - NEWEST)
    if earlier:
        click.echo(f"The newest {NEWEST} runs; {counted(earlier, 'earlier one')}: `triage status --all`.", err=True)
    names, lake = names[earlier:], Lake.of(settings)
    referrals = Counter(lake.read("referrals", ["run_id"])["run_id"].to_pylist())
    floods = Counter(lake.read("floods", ["run_id"])["run_id"].to_pylist())
    done, said = nights.reports_of(settings, names), lake.run_rows.of_runs(names, REPORT)
    last = {row.run_id: row.at.replace(microsecond=0) for row in said}
    listed = [
        _status(settings, n, done.get(n, []), last.get(n), referrals=referrals[n], floods=floods[n]) for n in names
    ]
    try:
        waiting = [page.text for page in building.waiting_pages(settings)]
    except IntegrityError as error:  # the runs are said all the same: this is where one looks when something is damaged
        waiting = [] if error.message in listed[-1]["needs"] else [str(error)]
    listed[-1]["needs"] = "; ".join(filter(None, [listed[-1]["needs"], *waiting]))
    return listed


def _status(
    settings: Settings, name: str, stages: list[StageReport], last: datetime | None, *, referrals: int, floods: int
) -> dict[str, Any]:
    folder = nights.run_dir(settings, name)
    report = folder / "report.json"
    done = json.loads(report.read_text()) if report.is_file() else None
    rows = runreport.stage_rows(stages)
    failed, sets = failures.of_run(settings, name), nights.of_hash_sets(settings, name, stages)
    tracebacks = len(list((folder / "failures").glob("*.txt")))
    return {
        "run": name,
        "clock": nights.load(settings, name).as_of,
        "state": "hash sets" if sets and failed is None else _state(done, failed),
        "last_stage": stages[-1].stage if stages else "none",
        "last_stage_at": last,
        "referrals": referrals,
        "quarantined": (done or {}).get("packages_quarantined", 0),
        "seconds": round(sum(row["seconds"] for row in rows.values()), 1),
        "needs": "; ".join(
            [
                *(() if sets else _running(settings, name, done, failed)),
                *_needs(done, rows, floods, tracebacks=tracebacks, failed=failed, sets=sets),
            ]
        ),
    }


def _running(
    settings: Settings, name: str, done: dict[str, Any] | None, failed: failures.RunFailure | None
) -> Iterator[str]:
    """How far a run is that has neither ended nor failed."""
    if done is None and failed is None:
        yield from filter(None, [progress.sentence(progress.of_run(settings, name, datetime.now(UTC)))])


def _state(done: dict[str, Any] | None, failed: failures.RunFailure | None) -> str:
    if failed is not None:
        return "FAILED"
    if done is None:
        return "unfinished"
    return "reconciled" if done["reconciles"] else "DOES NOT RECONCILE"


def _needs(
    done: dict[str, Any] | None,
    rows: dict[str, Any],
    floods: int,
    *,
    tracebacks: int,
    failed: failures.RunFailure | None,
    sets: bool,
) -> Iterator[str]:
    """What waits for a person, in words."""
    if failed is not None:
        yield f"failed at {failed.stage}: {failed.message} {failed.advice}"
    elif done is None and not sets:
        yield "run it again if it is not running"
    elif done is not None and not done["reconciles"]:
        yield "do not work the queue: see the report"
    ingest = rows.get("ingest", {"rejected": {}, "counts": {}})
    if ingest["rejected"].get("quarantined"):
        yield f"{counted(ingest['rejected']['quarantined'], 'package')} to send back (texts in quarantine/)"
    if ingest["counts"].get("packages_waited_too_long"):
        yield f"{counted(ingest['counts']['packages_waited_too_long'], 'package')} came incomplete and stayed so"
    if ingest["counts"].get("landing_entries_of_no_source"):
        yield f"{ingest['counts']['landing_entries_of_no_source']} entries of landing/ are in no source's folder"
    assess = rows.get("assess", {"counts": {}})["counts"]
    yield from _lists(assess)
    if assess.get("incident_types_not_mapped"):
        yield f"incident types that policy/ingest.yaml does not map: {assess['incident_types_not_mapped']}"
    if assess.get("offers_not_mapped"):
        yield f"kinds of offers in UCOL referrals that policy/ingest.yaml does not map: {assess['offers_not_mapped']}"
    if assess.get("priorities_not_mapped"):
        yield f"priority marks that the risk model does not map: {assess['priorities_not_mapped']}"
    if floods:
        yield f"{counted(floods, 'known picture')} set aside (`triage night floods`)"
    if tracebacks:
        yield f"{counted(tracebacks, 'traceback')} in the run's failures/"


def _lists(counts: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the force's lists; nothing when it supplies none."""
    states = [v for name, v in counts.items() if name.startswith("list_") and isinstance(v, str)]
    unusable = counts.get("list_files_unusable", 0)
    unfit = sum(not v.startswith("dated") or "stale" in v for v in states)
    if unusable or 0 < unfit < len(states) or any("stale" in v for v in states):
        yield f"{counted(unfit, 'list')} of the force missing or stale, {counted(unusable, 'list file')} not usable (`triage assess lists`)"


@click.command("settings")
@click.pass_obj
@output_options
def settings_command(settings: Settings) -> Rows:
    """Every setting: its variable, value, default and meaning. Secrets are in files, so none is shown."""
    return [
        {
            "variable": f"TRIAGE_{f.name.upper()}",
            "value": _shown(getattr(settings, f.name), f.name),
            "default": str(f.default) if f.name != "policy" else "policy",
            "meaning": f.metadata["doc"],
        }
        for f in fields(Settings)
    ]


def last_run(settings: Settings) -> str:
    """The run with the latest clock. Raises UsageError when there is none."""
    names = nights.begun(settings)
    if not names:
        raise UsageError("Nothing has run yet.", "Start with `triage night run`.")
    return names[-1]


def _flat(report: dict[str, Any]) -> dict[str, Any]:
    figures = {name: value for name, value in report.items() if name != "counts"}
    return {**figures, **{name: value for name, value in report["counts"].items() if name not in figures}}


def _shown(value: Any, name: str) -> str:
    if name == "cases_url" and "@" in str(value):
        return str(value).split("://", 1)[0] + "://(set)"
    return "" if value is None else str(value)


@night.command("erase")
@click.pass_obj
def erase_command(settings: Settings) -> None:
    """Empty what is still kept of erased cases: in the lake, the reports, the quarantine, run files and the console's index.

    Nobody reads it from the moment of the erasure; this removes it from the disk, from every snapshot too. Rows stay without their
    values, so that counts of past nights stay true. The weekly DAG `lake_maintenance` does the same. Packages in
    the landing folder (those of erased cases are named: remove them, then run this again), exports that were handed out, and backups
    are the force's own to erase.

    \b
    triage night erase
    """
    from pipeline.night import erasing

    done = erasing.erase(settings, f"erasure-{datetime.now(UTC):%Y-%m-%d-%H%M%S}")
    told = ", ".join(
        f"{name} {number}" for name, number in sorted({**done.tables, "others": done.others}.items()) if number
    )
    click.echo(f"Files written anew or removed: {told}." if told else "Nothing is left to erase.")
    for name in done.in_landing:
        click.echo(f"Still in the landing folder, remove it and run this again: {name}")
