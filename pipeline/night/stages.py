"""The night from end to end: which stages there are, in which order, and how one is run and recorded.

The DAGs and `triage night run` both go through `begin`, `plan` and `stage`: the same work with and without Airflow.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from pipeline import contract as nights
from pipeline import cputime, files, logs, policy
from pipeline.contract import Night, StageReport
from pipeline.errors import DependencyError, ReconciliationError, TriageError, UsageError
from pipeline.lake import Lake
from pipeline.night import bundles, failures, plans, sharing
from pipeline.night.orchestration import TASKS_AT_MOST, UNMEASURED
from pipeline.settings import Settings

Result = TypeVar("Result")


@dataclass(frozen=True)
class Stage:
    """One stage: the module that has `run` (and `plan`, when it is done in shards), and what a person reads about it."""

    name: str
    module: str
    sharded: bool
    title: str


STAGES = (
    Stage("ingest", "pipeline.ingest.stage", False, "Take in packages"),
    Stage("fingerprint", "pipeline.fingerprint.stage", True, "Fingerprint media files"),
    Stage("match", "pipeline.matching.stage", True, "Match against the known-hash release"),
    Stage("flood", "pipeline.matching.flood", False, "Set aside known hashes that match implausibly often"),
    Stage("assess", "pipeline.cases.publishing.assessing", False, "Link referrals and assess cases"),
    Stage("publish", "pipeline.cases.publishing.stage", False, "Publish to the case queue"),
    Stage("reporting", "pipeline.export.stage", False, "Write the reporting tables"),
    Stage("reconcile", "pipeline.night.reconcile", False, "Reconcile counts and canaries"),
)
"""The night, in order."""

EXTRA = (
    Stage("digest", "pipeline.ingest.digesting", True, "Digest the media of a large night"),
    Stage("assess_cases", "pipeline.cases.publishing.assessing_parts", True, "Assess the cases of a large night"),
    Stage("hashset_import", "hashsets.importing.landing", False, "Import hash sets from the landing folder"),
    Stage("hashset_build", "pipeline.approval.judging", False, "Build and verify a release, and judge what it changes"),
    Stage("graded_uploads", "pipeline.night.grading.uploads", False, "Attach graded results that people uploaded"),
    Stage("hashset_release", "pipeline.approval.stage", False, "Build, verify, judge and publish a release"),
    Stage(
        "retro_match", "pipeline.matching.retro", False, "Match what a release changed against all past fingerprints"
    ),
)
"""Stages of the other DAGs, and the parts of ingest and assess that a large night does in shards before them."""

BEFORE = {"digest": "ingest", "assess_cases": "assess"}
"""Which stage of the night such a part comes before."""

POLICIES = (
    "facts",
    "promises",
    "matching",
    "fingerprint",
    "ingest",
    "risk-model",
    "linking",
    "lists",
    "hashsets",
    "cases",
    "lake",
)
"""Policy files that are validated before any work starts."""

LEFT_BEHIND = timedelta(days=2)
"""Age from which a file of the lake that no commit names is what a killed process left; far above any time limit."""


def find(name: str) -> Stage:
    """The stage of that name. Raises UsageError if there is none."""
    for known in (*STAGES, *EXTRA):
        if known.name == name:
            return known
    raise UsageError(f"There is no stage {name!r}.", f"Stages: {', '.join(s.name for s in (*STAGES, *EXTRA))}.")


# -- what the DAGs call: names of runs and shards in, plain dicts out ------------------------------------------------


def begin(run_id: str | None = None, as_of: str | None = None, began: datetime | None = None) -> str:
    """Start (or take up) a run after checking settings, policy and space; returns its name.

    `as_of` is a clock that a person gives, `began` the moment at which the orchestrator began the run.
    """
    settings = Settings.load()
    logs.configure(settings)
    with sharing.of_stage(settings, "begin", ""):
        return guarded(settings, run_id or "begin", "begin", lambda: _begin(settings, run_id, as_of, began))


def _begin(settings: Settings, run_id: str | None, as_of: str | None, began: datetime | None = None) -> str:
    check_ready(settings)
    try:
        moment = datetime.fromisoformat(as_of) if as_of else None
    except ValueError:
        raise UsageError(f"{as_of!r} is not an ISO 8601 time.") from None
    if moment is not None and moment.tzinfo is None:
        raise UsageError("The run's time has no zone.", "Write it with an offset, for example +00:00.")
    return nights.start(settings, run_id, moment, began).run_id


def plan(stage_name: str, run_id: str) -> list[list[str]]:
    """Shards of a stage that are still to be done, in bundles of one task each (`pipeline/night/bundles.py`)."""
    settings = Settings.load()
    logs.configure(settings)

    def work() -> list[list[str]]:
        shards = plan_shards(settings, find(stage_name), nights.load(settings, run_id))
        each = bundles.measured(settings, stage_name, UNMEASURED)
        return bundles.cut(shards, each, settings.task_seconds, TASKS_AT_MOST)

    with sharing.of_stage(settings, stage_name, run_id):
        return guarded(settings, run_id, stage_name, work)


def bundle(stage_name: str, run_id: str, shards: list[str]) -> None:
    """Run some shards of a stage, one after the other, in this process."""
    settings = Settings.load()
    logs.configure(settings)

    def work() -> None:
        for _ in run_shards(settings, find(stage_name), nights.load(settings, run_id), shards):
            pass

    with sharing.of_stage(settings, stage_name, run_id):
        guarded(settings, run_id, stage_name, work)


def stage(stage_name: str, run_id: str) -> dict[str, Any]:
    """Run one stage that is not cut into shards and return its report."""
    settings = Settings.load()
    logs.configure(settings)
    with sharing.of_stage(settings, stage_name, run_id):
        report = guarded(
            settings, run_id, stage_name, lambda: run_stage(settings, find(stage_name), nights.load(settings, run_id))
        )
    return report.as_dict()


def guarded(settings: Settings, run_id: str, what: str, work: Callable[[], Result]) -> Result:
    """Do the work; let an error out without the frames below, since an orchestrator prints their variables into its logs.

    An expected error keeps its class and text. What the system refused (a full disk, a read-only one) is told in its
    words. Of any other only the class and the place are told. The traceback goes to a file in the run's folder that only
    the owner of the data can read.
    """
    try:
        return work()
    except TriageError as error:
        expected = error.__class__(error.message, error.remedy)
    except Exception as error:  # noqa: BLE001 - kept whole in a file, told without values
        expected = TriageError(*_unexpected(settings, run_id, what, error))
    failures.note(settings, run_id, what, expected)
    raise expected


def _unexpected(settings: Settings, run_id: str, what: str, error: Exception) -> tuple[str, str]:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    folder = nights.run_dir(settings, run_id) / "failures"
    text = "".join(traceback.format_exception(error)).encode()
    path = folder / f"{what}-{hashlib.sha256(text).hexdigest()[:12]}.txt"
    refused = f" ({os.strerror(error.errno)})" if isinstance(error, OSError) and error.errno else ""
    message = (
        f"{what} failed unexpectedly: {type(error).__name__}{refused} at {Path(frame.filename).name}:{frame.lineno}."
    )
    try:
        files.make_folder(folder)
        path.touch(mode=0o600)
        path.write_bytes(text)
    except OSError as second:
        return message, f"Its traceback could not be kept: {os.strerror(second.errno or 0)}."
    return message, f"The traceback is in failures/{path.name} of the run."


# -- the same for the command line and tests -------------------------------------------------------------------------


def check_ready(settings: Settings) -> None:
    """Validate every policy file, see that there is room to write, and sweep out of the lake what killed runs left long ago.

    Raises SettingsError for a policy file, DependencyError when less than 1 GiB or 10,000 inodes are free.
    """
    for name in POLICIES:
        policy.load(settings, name)
    files.make_folder(settings.home)
    free = shutil.disk_usage(settings.home).free
    inodes = os.statvfs(settings.home)
    if free < 2**30 or (inodes.f_files and inodes.f_favail < 10_000):
        raise DependencyError(
            f"Too little space below TRIAGE_HOME: {free // 2**20} MiB and {inodes.f_favail} inodes are free.",
            "Free 1 GiB and 10,000 inodes, or move TRIAGE_HOME.",
        )
    Lake.of(settings).sweep(older_than=LEFT_BEHIND)


def plan_shards(settings: Settings, which: Stage, run: Night) -> list[str]:
    """Shards of a sharded stage that are not done yet."""
    planner: Callable[[Settings, Night], list[str]] = importlib.import_module(which.module).plan
    shards = planner(settings, run)
    plans.note(settings, run.run_id, which.name, len(shards))
    return shards


Runner = Callable[[Settings, Night, str | None], StageReport]


def run_shards(settings: Settings, which: Stage, run: Night, shards: Sequence[str | None]) -> Iterator[StageReport]:
    """Run shards one after the other. What a stage loads and opens for one serves all of them: its module's `together`."""
    module = importlib.import_module(which.module)
    together: Callable[[Settings], AbstractContextManager[Runner]] = module.together
    with together(settings) as runner:
        for shard in shards:
            yield run_stage(settings, which, run, shard, runner)


def run_stage(
    settings: Settings, which: Stage, run: Night, shard: str | None = None, runner: Runner | None = None
) -> StageReport:
    """Run one stage (by `runner`, default: its module's `run`) and record its report with the run.

    Raises ReconciliationError when the stage's own counts do not add up.
    """
    log = logs.get(which.name).bind(run=run.run_id, shard=shard)
    started, cpu = time.monotonic(), cputime.spent()
    work: Runner = runner or importlib.import_module(which.module).run
    report = work(settings, run, shard)
    report.seconds = round(time.monotonic() - started, 3)
    report.cpu_seconds = round(cputime.since(cpu), 3)
    nights.record(settings, report)
    log.info("stage done", read=report.read, kept=report.kept, rejected=report.rejected, seconds=report.seconds)
    if report.balanced:
        failures.settled(settings, run.run_id, which.name)
    else:
        raise ReconciliationError(
            f"Stage {which.name} read {report.read} rows and accounts for {report.kept + sum(report.rejected.values())}.",
            "Do not work the queue from this run; send what `triage night report --json` says of it with your report.",
        )
    return report


def run_night(settings: Settings, run: Night) -> Iterator[StageReport]:
    """Run every stage in order, yielding each report as it comes."""
    for which in STAGES:
        try:
            if which.sharded:
                yield from run_shards(settings, which, run, plan_shards(settings, which, run))
            else:
                yield run_stage(settings, which, run)
        except TriageError as error:
            failures.note(settings, run.run_id, which.name, error)
            raise
        except Exception as error:
            failures.note(
                settings, run.run_id, which.name, TriageError(*_unexpected(settings, run.run_id, which.name, error))
            )
            raise
        failures.settled(settings, run.run_id, which.name)


reports = nights.reports
"""Every stage report of a run so far, as the contract reads them."""
