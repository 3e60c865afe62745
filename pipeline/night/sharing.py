"""Which files of a home the machines of one deployment share where they share no folder (TRIAGE_SHARED), and when.

A stage begins by bringing what it may read, and ends by sending what it may have written. The lake and the case store are
reached by every machine anyway; caches are each machine's own and come back by themselves; the signing secret is given to each
machine as a secret is (TRIAGE_SECRET_FILE), never put into a bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pipeline import logs
from pipeline.audit import anchors
from pipeline.contract import run_dir
from pipeline.errors import DependencyError, TriageError
from pipeline.lake.shared import SharedFiles
from pipeline.settings import Settings

READ = ("runs", "ingest", "quarantine", "releases", "hashsets/approvals")
"""What every piece of work may read; nothing is fetched twice."""
DELIVERIES = ("hashsets", "releases")
REPORTS = ("reporting", "reporting-restricted")
WRITTEN: dict[str, Sequence[str]] = {
    "ingest": ("ingest", "quarantine"),
    "hashset_import": DELIVERIES,
    "hashset_build": DELIVERIES,
    "hashset_release": DELIVERIES,
    "graded_uploads": DELIVERIES,
    "reporting": REPORTS,
    "erase": ("ingest", "quarantine", "runs", *REPORTS),
}
"""What a stage may write beside its run's folder and the anchors of the audit log."""
EVERYTHING = ("runs", "ingest", "quarantine", *DELIVERIES, *REPORTS)


@contextmanager
def of_stage(settings: Settings, stage: str, run_id: str) -> Iterator[None]:
    """Around a piece of work of a stage: bring before, send after. What broke off is sent too, with its failure."""
    own = str(run_dir(settings, run_id).relative_to(settings.home)) if run_id else "runs"
    with around(settings, [*READ, *WRITTEN.get(stage, ())], [own, *WRITTEN.get(stage, ())]):
        yield


@contextmanager
def of_command(settings: Settings) -> Iterator[None]:
    """Around a command, which may read and write anything."""
    with around(settings, EVERYTHING, EVERYTHING):
        yield


@contextmanager
def around(settings: Settings, reads: Sequence[str], writes: Sequence[str]) -> Iterator[None]:
    """Bring `reads` before and send `writes` after. An error of the work itself is never hidden by one of sending."""
    shared = SharedFiles.of(settings)
    if shared is None:
        yield
        return
    anchored = _anchors(settings)
    _reached(lambda: shared.fetch([*reads, *anchored]))
    try:
        yield
    except BaseException:
        try:
            _reached(lambda: shared.send([*writes, *anchored]))
        except TriageError as error:
            logs.get("shared").error("what the failed work left was not sent", error=str(error))
        raise
    _reached(lambda: shared.send([*writes, *anchored]))


def bring(settings: Settings, reads: Sequence[str] | None = None) -> int:
    """Bring what a reader shows (default: what every piece of work may read); returns how many files were fetched."""
    shared = SharedFiles.of(settings)
    if shared is None:
        return 0
    wanted = [*READ, *_anchors(settings)] if reads is None else reads
    return _reached(lambda: shared.fetch(wanted))


def _reached(what: Callable[[], int]) -> int:
    """Do it. Raises DependencyError for what the system says of the store, or of this machine's disk."""
    try:
        return what()
    except OSError as error:
        raise DependencyError(
            f"Files cannot be shared with other machines: {error}.",
            "Check TRIAGE_SHARED and its store, then run it again.",
        ) from error


def _anchors(settings: Settings) -> list[str]:
    """The file of the audit log's anchors, where it lies in the home."""
    path = anchors.path(settings)
    return [str(path.relative_to(settings.home))] if path.is_relative_to(settings.home) else []
