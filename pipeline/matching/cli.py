"""`triage index` and `triage match`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline import output, policy
from pipeline.algorithms import INDEXED
from pipeline.matching import core
from pipeline.settings import Settings

if TYPE_CHECKING:
    from hashsets.release.releases import Release

IndexFolder = click.Path(file_okay=False, path_type=Path)


@click.group()
def index() -> None:
    """Build, inspect, verify and compact matching indexes.

    A release brings its indexes along; these commands look at them, prove them, and build others to try things with.
    """


@index.command()
@click.argument("folder", type=IndexFolder)
@click.option("--algorithm", type=click.Choice(INDEXED), default="pdq", show_default=True, help="Hashes to index.")
@click.option("--release", type=int, default=None, help="Known-hash release to read. Default: the current one.")
@output.output_options
@click.pass_obj
def build(settings: Settings, folder: Path, algorithm: str, release: int | None) -> output.Rows:
    """Build the index of a release's hashes in the new folder FOLDER.

    The release's own index is not touched. Hashes are read as a stream: building holds at most 400 MB, beside what the
    database takes (TRIAGE_MEMORY_MB). `compile_seconds` are those of compiling, or of loading what
    was compiled before.

        triage index build /tmp/trial --algorithm pdq --release 12
    """
    from hashsets.release import indexing

    opened = _release(settings, release)
    opened.index_dir(algorithm)  # refuses an algorithm of which the release has no hash
    compiling = core.warm_build(algorithm)
    connection = opened.connect()
    try:
        start = time.perf_counter()
        manifest = core.build_index(
            indexing.store_batches(connection, algorithm),
            folder,
            algorithm=algorithm,
            hasher_version=opened.hasher_version(algorithm),
            release=str(opened.number),
        )
    finally:
        connection.close()
    row = _summary(folder, manifest) | {
        "seconds": round(time.perf_counter() - start, 3),
        "compile_seconds": round(compiling, 3),
    }
    return [row]


@index.command()
@click.argument("folder", type=IndexFolder)
@output.output_options
def inspect(folder: Path) -> output.Rows:
    """Show what an index holds: one row per segment, and a last one for the whole."""
    manifest = core.open_index(folder).manifest
    rows: list[dict[str, Any]] = [
        {
            "index": segment.name,
            "algorithm": manifest.algorithm,
            "release": manifest.release,
            "hasher_version": manifest.hasher_version,
            "rows": segment.rows - segment.dead,
            "withdrawn": segment.dead,
            "grouped": segment.alike,
            "canaries": segment.canaries,
            "bytes": sum(a.bytes for a in segment.arrays.values()),
        }
        for segment in manifest.segments
    ]
    return [*rows, _summary(folder, manifest)]


@index.command()
@click.argument("folder", type=IndexFolder, required=False)
@click.option("--release", type=int, default=None, help="Verify this release instead of the current one.")
@output.output_options
@click.pass_obj
def verify(settings: Settings, folder: Path | None, release: int | None) -> output.Rows:
    """Prove indexes: read every byte, compare every checksum, find every canary.

    Without FOLDER all indexes of the current known-hash release; opening it compares every file of it with its checksum.
    Exit code 4 when anything differs; the release must then be restored from the backup or published anew.
    """
    if folder is not None:
        if release is not None:
            raise click.UsageError("Name a folder or a release, not both.")
        return [_proved(settings, folder)]
    opened = _release(settings, release)
    return [_proved(settings, opened.index_dir(name)) for name in opened.indexes]


def _proved(settings: Settings, folder: Path) -> dict[str, Any]:
    opened = core.open_index(folder)
    read = opened.verify()
    canaries = core.check_canaries(opened, threads=settings.thread_count)
    return {**_summary(folder, opened.manifest), "bytes_read": read, "canary_pairs_found": canaries}


@index.command()
@click.argument("folder", type=IndexFolder)
@click.argument("target", type=IndexFolder)
@output.output_options
def compact(folder: Path, target: Path) -> output.Rows:
    """Write the index FOLDER to the new folder TARGET as one piece, without what was withdrawn."""
    return [_summary(target, core.compact_index(folder, target))]


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--release", type=int, default=None, help="Known-hash release. Default: the current one.")
@click.option(
    "--index", "folder", type=IndexFolder, default=None, help="Match against this index instead of a release."
)
@click.option("--algorithm", type=click.Choice(INDEXED), default=None, help="What the hashes are. Default: pdq.")
@click.option("--radius", type=int, default=None, help="Most bits that may differ. Default: the matching policy's.")
@click.option("--cap", type=int, default=None, help="Nearest pairs kept for a hash. Default: the matching policy's.")
@click.option("--format", "format_", type=click.Choice(output.FORMATS), default=None, help="Output format.")
@output.target_option("--out", required=False)
@click.pass_obj
def match(  # noqa: PLR0917 - one parameter per option
    settings: Settings,
    file: Path,
    release: int | None,
    folder: Path | None,
    algorithm: str | None,
    radius: int | None,
    cap: int | None,
    format_: str | None,
    target: Path | None,
) -> None:
    """Match a file of perceptual hashes against a known-hash release.

    FILE is Parquet or CSV with a column `hash` (hex or binary) and, if there is one, a whole number `id`; rows without
    a usable hash are named on standard error and left out. Prints one row per pair: query_id, known_id (the media key),
    distance in bits, algorithm.

        triage match hashes.csv --radius 31 --output pairs.parquet
    """
    from pipeline.matching.hashfile import read

    place = folder or _release(settings, release).index_dir(algorithm or "pdq")
    opened = core.open_index(place)
    if algorithm not in {None, opened.form.name}:
        raise click.UsageError(f"The index holds {opened.form.name}, not {algorithm}.")
    limits = policy.load(settings, "matching").data["algorithms"][opened.form.name]
    asked = read(file, opened.form.width)
    errors = Console(stderr=True)
    for row, reason in asked.rejected:
        errors.print(f"row {row} left out: {reason}", markup=False, highlight=False)
    with _progress(errors) as progress:
        found = core.join(
            opened,
            asked.hashes,
            asked.ids,
            radius=limits["radius"] if radius is None else radius,
            cap=limits["cap"] if cap is None else cap,
            threads=settings.thread_count,
            progress=progress,
        )
    chosen = format_ or (target.suffix.removeprefix(".") if target is not None else "table")
    output.emit(found.table, chosen if chosen in output.FORMATS else "jsonl", target)
    report = found.report
    errors.print(
        f"{report.queries} hashes against {report.rows}: {report.pairs} pairs, {report.kept} kept, "
        f"{len(asked.rejected)} rows left out; radius {report.radius}, plan {report.plan}, {report.canaries} canary pairs "
        f"found; {report.match_seconds:.2f} s, after {report.compile_seconds:.2f} s of compiling and "
        f"{report.check_seconds:.2f} s of checksums",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on a terminal, nothing in a pipe."""
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("matching"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("matching", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _release(settings: Settings, number: int | None) -> Release:
    from hashsets.release import releases

    return releases.current(settings) if number is None else releases.open_release(settings, number)


def _summary(folder: Path, manifest: core.Manifest) -> dict[str, Any]:
    return {
        "index": folder.name,
        "algorithm": manifest.algorithm,
        "release": manifest.release,
        "hasher_version": manifest.hasher_version,
        "rows": manifest.rows,
        "withdrawn": sum(s.dead for s in manifest.segments),
        "grouped": sum(s.alike for s in manifest.segments),
        "canaries": sum(s.canaries for s in manifest.segments),
        "bytes": manifest.bytes,
    }
