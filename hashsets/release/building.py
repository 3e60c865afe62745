"""Building a release: the one before plus what was imported since, beside it, verified, then published.

    releases/.tmp-<pid>-build/   where it is built; swept by the next build if a process dies
    releases/<number>/           built and verified, not yet published
    releases/CURRENT             published

One process builds or publishes at a time (a lock in the releases folder, freed by the kernel when it dies).
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from hashsets import sources
from hashsets.importing import importer, paging
from hashsets.release import manifest, publishing, releases
from hashsets.release.locking import locked
from pipeline import files
from pipeline.contract import HASH_SETS, Night, StageReport, start
from pipeline.errors import IntegrityError
from pipeline.settings import Settings


def run(settings: Settings, night: Night, shard: str | None = None) -> StageReport:
    """Build, verify and publish, judged by the store alone; the stage `hashset_release` (`pipeline/approval/stage.py`) looks at
    the cases too. Nothing to do leaves the current release."""
    started, cpu = time.monotonic(), _cpu()
    report = build_release(settings, night)
    published = publishing.publish(settings)
    report.outputs = [f"release-{published}"] if published else []
    report.counts["published"] = published or 0
    report.seconds, report.cpu_seconds = time.monotonic() - started, _cpu() - cpu
    return report


def own_run(settings: Settings, moment: datetime) -> Night:
    """The run of a command that builds a release by hand."""
    return start(settings, f"{HASH_SETS}{moment:%Y%m%dT%H%M%S}", moment)


def _cpu() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime


def build_release(settings: Settings, night: Night) -> StageReport:
    """Build and verify the next release beside the current one; `publishing.publish` makes it current.

    `read` counts rows of the imports taken in, `kept` those that stand in the release in any state, `rejected` those
    refused with their reason. A build that finds nothing new, or its own result waiting, does nothing. Raises
    ReconciliationError when counts differ, IntegrityError when the release before or an import is damaged.
    """
    # compiled kernels, which most processes that look at releases do not need: the console starts without them
    from hashsets.release.assembly import ReleasePlan, assemble

    policy = sources.load(settings)
    with locked(settings):
        previous = releases.current(settings) if releases.pointer(settings) else None
        number = previous.number + 1 if previous else 1
        inputs = _inputs(settings, policy, previous)
        report = StageReport("hashset_release", night.run_id)
        pages = waiting_pages(settings)
        _sweep(settings)
        if inputs is None:
            report.counts = {"release": previous.number if previous else 0, "built": 0}
            return _with_waiting(report, pages)
        folder = settings.releases_dir / str(number)
        if folder.exists():
            waiting = _waiting(folder, inputs)
            if waiting is not None:
                return _with_waiting(_report(report, waiting), pages)
            shutil.rmtree(folder)
        temporary = settings.releases_dir / f"{files.TEMPORARY}{os.getpid()}-build"
        temporary.mkdir()
        try:
            content = assemble(ReleasePlan(settings, night, policy, previous, number, tuple(inputs)), temporary)
            temporary.rename(folder)
            files.sync_folder(settings.releases_dir)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        return _with_waiting(_report(report, content), pages)


def _with_waiting(report: StageReport, pages: list[paging.Waiting]) -> StageReport:
    """The report with how many pages wait for others, since when at the longest, and why."""
    report.counts["pages_waiting"] = len(pages)
    if pages:
        report.counts["pages_waiting_since"] = min(page.since for page in pages)
        report.counts["pages_waiting_why"] = "; ".join(sorted({f"{p.record.source_id}: {p.why}" for p in pages}))
    return report


def _report(report: StageReport, content: dict[str, Any]) -> StageReport:
    for counts in content["imports"]:
        report.read += counts["read"]
        for reason, n in counts["rejected_by_reason"].items():
            report.rejected[reason] = report.rejected.get(reason, 0) + n
        for state in ("kept", "duplicate", "updated", "withdrawn"):
            report.counts[state] = int(report.counts.get(state, 0)) + counts[state]
            report.kept += counts[state]
    report.counts |= {"release": content["release"], "built": 1, **content["changes"]}
    return report


def _inputs(settings: Settings, policy: sources.HashsetPolicy, previous: releases.Release | None) -> list[str] | None:
    """What the next release is made of: keys of imports not taken in yet, and the policy. None: nothing new.

    Pages of a delivery wait until the last one is there (`hashsets.importing.paging`).
    """
    fresh = not_taken(settings, previous)
    held = {page.record.key for page in paging.waiting(settings, fresh)}
    ready = [i.key for i in fresh if i.key not in held]
    if not ready and (previous is None or previous.manifest["policy_sha256"] == policy.digest):
        return None
    return [*ready, policy.digest]


def not_taken(settings: Settings, previous: releases.Release | None) -> list[importer.Import]:
    """Imports that release `previous` has not taken in (None: all of them), in the order in which they will be."""
    done = set(previous.manifest["import_keys"]) if previous else set()
    return [i for i in importer.all_imports(settings) if i.key not in done]


def waiting_pages(settings: Settings) -> list[paging.Waiting]:
    """Pages of deliveries that wait for other pages and are in no release."""
    previous = releases.current(settings) if releases.pointer(settings) else None
    return paging.waiting(settings, not_taken(settings, previous))


def _sweep(settings: Settings) -> None:
    """Remove what killed builds left; the lock is held, so no build of another process is alive."""
    for path in settings.releases_dir.glob(f"{files.TEMPORARY}*"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _waiting(folder: Path, inputs: list[str]) -> dict[str, Any] | None:
    """The manifest of a release that was built from the same inputs and waits to be published, if it is sound."""
    try:
        content: dict[str, Any] = json.loads((folder / manifest.NAME).read_bytes())
        if content["inputs"] != inputs:
            return None
        manifest.verified(folder, files.sha256(folder / manifest.NAME))
    except (OSError, ValueError, KeyError, IntegrityError):
        return None  # damaged or incomplete: it is built again
    return content
