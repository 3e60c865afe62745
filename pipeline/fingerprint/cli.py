"""`triage fingerprint`: digests and perceptual hashes of files, outside a night."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline import policy as policies
from pipeline.algorithms import INDEXED, algorithm_version
from pipeline.errors import UsageError
from pipeline.fingerprint.decode.versions import decoder_version
from pipeline.fingerprint.journal import Journal
from pipeline.fingerprint.outcome import Failure, Fingerprint, Item, Reason
from pipeline.fingerprint.sandbox import layers as sandbox
from pipeline.fingerprint.sandbox.pool import Pool
from pipeline.locator import SEPARATOR, Locator
from pipeline.output import Rows, output_options
from pipeline.row import Row
from pipeline.settings import Settings

SHORT = ("file", "state", "reason", "media_type", "width", "height", "pdq_quality")
"""Columns of a table on a terminal."""


@click.command()
@click.argument("paths", nargs=-1, metavar="PATH...")
@click.option("--workers", type=click.IntRange(1), default=None, help="Worker processes. Default: TRIAGE_THREADS.")
@click.option("--variants", is_flag=True, help="Also hash the geometric variants (one column, name=PDQ pairs).")
@click.option("--isolation", is_flag=True, help="Only show which layers of isolation hold on this machine.")
@output_options
@click.pass_obj
def fingerprint(
    settings: Settings, paths: tuple[str, ...], workers: int | None, variants: bool, isolation: bool
) -> Rows:
    """Digests and perceptual hashes of files and folders, made by isolated workers that can neither write nor connect.

    PATH is a file, a folder (all files below it), or a member of an archive written as archive.zip!/member.jpg. No
    file stops the run: each ends as hashed, partial, digests_only or rejected, with a reason.

    With --output a run that is stopped goes on where it was when the same command is given again. A table has the columns that
    fit a terminal; the other formats have all of them.

    \b
    Examples:
      triage fingerprint seized/ --output hashes.csv
      triage fingerprint holiday.jpg package.zip!/media/0001.jpg --format json
      triage fingerprint --isolation
    """
    if isolation:
        return _isolation(settings)
    if not paths:
        raise UsageError("There is nothing to fingerprint.", "Name files or folders, or --isolation.")
    locators, readable = _find(paths)
    options = click.get_current_context().params
    output: Path | None = options["output"]
    with Pool(settings, root=Path("/"), readable=readable, workers=workers) as pool:
        pool.start()
        rows = _run(settings, pool, locators, variants, output)
    if options["format_"] == "table" or (options["format_"] is None and output is None and sys.stdout.isatty()):
        return [{name: row[name] for name in SHORT} for row in rows]
    return rows


def _isolation(settings: Settings) -> list[Row]:
    with Pool(replace(settings, sandbox="auto"), decoder=None, root=Path("/"), readable=[], workers=1) as pool:
        pool.start()
        required = pool.policy["sandbox"]["required"]
        reached = pool.report.reached or sandbox.Reached(0)
    return [
        {
            "layer": reached.name(layer),
            "active": bool(reached.layers & layer),
            "required_when_strict": str(layer.name).lower() in required,
        }
        for layer in sandbox.ALL
        if layer.name
    ]


def _find(paths: tuple[str, ...]) -> tuple[list[Locator], list[Path]]:
    """Every file below the paths, in order, and what the workers must be able to read. Raises UsageError.

    Links are not followed here: a broken one, a loop, or one that leads out of the folder is a row like any other.
    """
    locators: dict[Locator, None] = {}
    readable = []
    for text in paths:
        name, _, member = (text, "", "") if Path(text).exists() else text.partition(SEPARATOR)
        path = Path(os.path.abspath(name))  # noqa: PTH100 - without ".." and without following links
        if not path.exists():
            raise UsageError(f"There is no {text}.")
        readable.append(path)
        found = [path] if not path.is_dir() else sorted(p for p in path.rglob("*") if not p.is_dir())
        locators.update((Locator(str(p).lstrip("/"), member or None), None) for p in found)
    return list(locators), readable


def _run(settings: Settings, pool: Pool, locators: list[Locator], variants: bool, output: Path | None) -> list[Row]:
    conditions = {
        "algorithms": algorithm_version(),
        "decoders": decoder_version(pool.report.versions),
        "policy": policies.load(settings, "fingerprint").digest,
        "variants": variants,
    }
    with contextlib.ExitStack() as stack:
        journal = None
        if output is not None:
            journal = stack.enter_context(Journal(output.absolute().with_name(f".{output.name}.resume"), conditions))
        done: dict[str, Row] = dict(journal.taken_over) if journal else {}
        keys = {locator: _key(locator) for locator in locators}
        left = [locator for locator in locators if keys[locator] not in done]
        if len(left) < len(locators):
            click.echo(f"{len(locators) - len(left)} files taken over from a run that was stopped.", err=True)
        items = (Item(locator, variants=variants) for locator in left)
        for item, outcome in _shown(pool.fingerprints(items), len(left)):
            row = _row(item.locator, outcome, variants)
            done[keys[item.locator]] = row
            if journal:
                journal.add(keys[item.locator], row)
        if journal:
            click.get_current_context().call_on_close(lambda: _published(journal))
    rows = [done[keys[locator]] for locator in locators]
    _summary(pool, rows)
    return rows


def _published(journal: Journal) -> None:
    """The output is written, unless an error is on its way."""
    if sys.exc_info()[0] is None:
        journal.remove()


def _shown(outcomes: Iterator[tuple[Item, Any]], total: int) -> Iterator[tuple[Item, Any]]:
    """The outcomes, with a progress bar on a terminal."""
    columns = (TextColumn("fingerprinting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not sys.stderr.isatty(), transient=True) as progress:
        yield from progress.track(outcomes, total=total)


def _key(locator: Locator) -> str:
    """What a file is known by in the journal: name, size and time of change."""
    name = _shown_name(locator)
    try:
        status = Path("/", locator.container).stat()
    except OSError:
        return f"{name} gone"
    return f"{name} {status.st_size} {status.st_mtime_ns}"


def _shown_name(locator: Locator) -> str:
    """The path; bytes of a file name that are not UTF-8 as \\xff, so that every output format can hold it."""
    return os.fsencode(f"/{locator}").decode("utf-8", "backslashreplace")


def _row(locator: Locator, outcome: Fingerprint | Failure, variants: bool) -> Row:
    digests = outcome.digests
    row: Row = {
        "file": _shown_name(locator),
        "state": "rejected" if isinstance(outcome, Failure) else outcome.state.value,
        "reason": outcome.reason.value,
        "media_type": outcome.media_type,
        "size": digests.size if digests else None,
        "md5": digests.md5.hex() if digests else None,
        "sha1": digests.sha1.hex() if digests else None,
        "sha256": digests.sha256.hex() if digests else None,
    }
    found = outcome if isinstance(outcome, Fingerprint) else None
    hashes = found.hashes if found else None
    row.update({name: getattr(found, name, None) for name in ("width", "height", "frames", "duration")})
    row.update({name: getattr(hashes, name).hex() if hashes else None for name in INDEXED})
    row["pdq_quality"] = hashes.pdq_quality if hashes else None
    row["low_information"] = hashes.low_information if hashes else None
    row["algorithm_version"] = algorithm_version() if hashes or (found and found.video_frames) else None
    row["exif"] = found.exif.as_dict() if found and found.exif else None
    row["video_frames"] = " ".join(f"{f.seconds:.2f}={f.pdq.hex()}" for f in found.video_frames) if found else None
    if variants:
        row["variants"] = (
            " ".join(f"{v.name.replace(' ', '_')}={v.pdq.hex()}" for v in found.variants) if found else None
        )
    return row


def _summary(pool: Pool, rows: list[Row]) -> None:
    """How many files ended in each state, for which reasons, and under what isolation and decoders they were opened."""
    states = Counter(row["state"] for row in rows)
    reasons = Counter(row["reason"] for row in rows if row["reason"] != Reason.NONE.value)
    died = sum(pool.report.deaths.values())
    lines = [
        f"{len(rows)} files: " + ", ".join(f"{number} {state}" for state, number in sorted(states.items())),
        "reasons: " + ", ".join(f"{number} {reason}" for reason, number in sorted(reasons.items())) if reasons else "",
        f"isolation: {pool.report.sandbox}",
        f"decoders: {decoder_version(pool.report.versions)}",
        f"{died} workers died and were replaced" if died else "",
    ]
    click.echo("\n".join(line for line in lines if line), err=True)
