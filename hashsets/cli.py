"""`triage hashset`: import, releases, differences, conflicts, withdrawal, export."""

from __future__ import annotations

import contextlib
import getpass
import json
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from hashsets import exporting, sources, sources_cli
from hashsets.algorithms import ALL
from hashsets.importing import cli as paging_cli
from hashsets.importing import importer, landing
from hashsets.importing import withdrawing as withdrawals
from hashsets.release import building, changes, manifest, publishing, releases
from pipeline import contract as nights
from pipeline.approval import cli as approval_cli
from pipeline.errors import UsageError
from pipeline.night import stages
from pipeline.night.grading import delivery
from pipeline.output import Rows, output_options, target_option
from pipeline.people.person import as_option, signed_in
from pipeline.settings import Settings


@click.group()
def hashset() -> None:
    """Known-hash sets: import, releases, differences, conflicts, withdrawal, export.

    A file is imported once, whatever its name; what it says becomes part of the next release. Old releases stay
    usable: every match names the release that it was made with.
    """


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _run(settings: Settings) -> nights.Night:
    return building.own_run(settings, _now())


@hashset.command("import")
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--source", "source_id", help="Who sent the files, as declared in policy/hashsets.yaml.")
@click.option("--by", "person", default=getpass.getuser, show_default="your account", help="Who imports them.")
@click.option("--release/--no-release", default=True, help="Build and publish a release afterwards.")
@click.option("--case", "case_id", help="The files are graded results of this case: attach them to it at once.")
@as_option
@output_options
@click.pass_obj
def import_(
    settings: Settings,
    /,
    *,
    files: tuple[Path, ...],
    source_id: str | None,
    person: str,
    release: bool,
    case_id: str | None,
    name: str | None,
) -> Rows:
    """Import files of one source, or without files everything new in landing/hashsets/<source>/.

    Each row of a file ends kept, duplicate, updated, withdrawn or rejected; what was rejected, and why, is in a file
    for the sender (`triage hashset rejects`). A damaged file changes nothing.

    With --case the files are what the force's own grading says of a case's files (a VICS export of the grading tool). They
    are imported in your account's name, a release is built, the case's files are matched against it, and the case is
    assessed and published anew, now and not tonight.

    \b
        triage hashset import --source project_vic vic-2026-11.json
        triage hashset import --source force --case C-7F3A9C21KD graded.json
        triage hashset import
    """
    if case_id is not None:
        if not files or not release:
            raise UsageError("--case needs the files that were graded, and a release.", "Leave --no-release out.")
        return _graded(settings, files, source_id or "", case_id, name)
    if name is not None:
        raise UsageError("--as goes with --case, and only with it.", "Name who imports with --by.")
    policy = sources.load(settings)
    night = _run(settings)
    if files:
        if source_id is None:
            raise UsageError("Whose files are these?", f"Name the source: --source {'|'.join(policy.sources)}.")
        source = policy.source(source_id)
        keys = [_import_one(settings, path, source, night.as_of, person) for path in files]
    else:
        report = landing.import_landing(settings, night, _watched)
        keys = list(report.outputs)
        if report.rejected:
            for outcome in json.loads((nights.run_dir(settings, night.run_id) / "hashsets.json").read_bytes()):
                if outcome["state"] == "failed":
                    click.echo(f"{outcome['source']}/{outcome['file']} was not imported. {outcome['reason']}", err=True)
    if release:
        approval_cli.release(settings, night.as_of)
    paging_cli.announce(settings)
    return [row for row in _imports(settings) if row["import"] in keys]


def _graded(settings: Settings, files: tuple[Path, ...], source_id: str, case_id: str, name: str | None) -> Rows:
    if not source_id:
        raise UsageError("Whose files are these?", "Name the force's own source: --source force.")
    with signed_in(settings, name) as (store, actor):
        brought = delivery.GradedDelivery(settings, store, actor, _run(settings), _watched)
        found = brought.take_in(case_id, files, source_id)
    return [found.as_row()]


def _import_one(settings: Settings, path: Path, source: sources.KnownSource, as_of: datetime, person: str) -> str:
    with _watched(path) as progress:
        record, _ = importer.import_file(settings, path, source, loaded_at=as_of, loaded_by=person, progress=progress)
    return record.key


@contextlib.contextmanager
def _watched(path: Path) -> Iterator[importer.Progress]:
    """A bar on the terminal with the rows read, their rate and the time left."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, disable=not sys.stderr.isatty(), transient=True, console=Console(stderr=True)) as bar:
        task = bar.add_task(path.name, total=path.stat().st_size, rows=0, rate=0.0)

        def progress(done: int, rows: int) -> None:
            elapsed = bar.tasks[0].elapsed or 0.0
            bar.update(task, completed=done, rows=rows, rate=rows / elapsed if elapsed else 0.0)

        yield progress


hashset.add_command(paging_cli.waiting)
hashset.add_command(paging_cli.complete)
hashset.add_command(approval_cli.approval)
hashset.add_command(approval_cli.approve)
hashset.add_command(approval_cli.refuse)


@hashset.command("take-in")
@output_options
@click.pass_obj
def take_in(settings: Settings) -> Rows:
    """Attach the graded results that people sent in the console and that wait.

    Where Airflow runs, the DAG `graded_results` does it within seconds. `waits`: a night has the turn to write the queue, or
    a release waits for approval; `refused`: the sender is told why.
    """
    night = _run(settings)
    report = stages.run_stage(settings, stages.find("graded_uploads"), night)
    for name in ("reporting", "reconcile") if report.kept else ():
        stages.run_stage(settings, stages.find(name), night)
    return [
        {"sent": report.read, "attached": report.kept, **{n: report.rejected.get(n, 0) for n in ("refused", "waits")}}
    ]


@hashset.command("imports")
@output_options
@click.pass_obj
def imports_(settings: Settings) -> Rows:
    """Every imported file with what became of its rows. `release` is empty while it waits for the next one."""
    return _imports(settings)


def _imports(settings: Settings) -> list[dict[str, Any]]:
    taken: dict[str, dict[str, Any]] = {}
    if releases.exists(settings):
        con = releases.current(settings).connect()
        try:
            table = con.sql(
                "SELECT import_key, kept, duplicate, updated, withdrawn, rejected, absent_withdrawn, release FROM set_release"
            ).to_arrow_table()
        finally:
            con.close()
        taken = {row["import_key"]: row for row in table.to_pylist()}
    rows = []
    for record in importer.all_imports(settings):
        states = taken.get(record.key, {})
        rows.append(
            {
                "import": record.key,
                "source": record.source_id,
                "file": record.file_name,
                "format": " ".join(p for p in (record.reader, record.version, record.country, record.entity) if p),
                "read": record.read,
                **{s: states.get(s) for s in ("kept", "duplicate", "updated", "withdrawn")},
                "rejected": states.get("rejected", sum(record.rejected.values())),
                "reasons": record.rejected,
                "values_dropped": record.defects,
                "absent_withdrawn": states.get("absent_withdrawn"),
                "loaded_at": record.loaded_at,
                "loaded_by": record.loaded_by,
                "release": states.get("release"),
            }
        )
    return rows


@hashset.command()
@click.argument("key")
@target_option()
@click.pass_obj
def rejects(settings: Settings, key: str, target: Path) -> None:
    """Write what was refused of an import, for its sender: position, field, reason, value. KEY may be shortened."""
    record = _find(settings, key)
    shutil.copyfile(importer.rejects_file(settings, record), target)
    click.echo(f"{sum(record.rejected.values())} rows and {sum(record.defects.values())} values refused: {target}")


def _find(settings: Settings, key: str) -> importer.Import:
    found = [i for i in importer.all_imports(settings) if i.key.startswith(key)]
    if len(found) != 1:
        raise UsageError(f"{key!r} names {len(found)} imports.", "`triage hashset imports` lists them.")
    return found[0]


@hashset.command()
@click.argument("key")
@click.pass_obj
def discard(settings: Settings, key: str) -> None:
    """Remove an import that no release has taken in yet (a wrong file, or one that the guard refused)."""
    record = _find(settings, key)
    if releases.exists(settings) and record.key in releases.current(settings).manifest["import_keys"]:
        raise UsageError(
            "That import is part of a release.", "Withdraw its entries instead: `triage hashset withdraw`."
        )
    shutil.rmtree(importer.imports_dir(settings) / record.key)
    click.echo(f"Discarded {record.key}.")


hashset.add_command(sources_cli.detect)
hashset.add_command(sources_cli.sources_)


@hashset.command("releases")
@output_options
@click.pass_obj
def releases_(settings: Settings) -> Rows:
    """Releases that are kept, newest first; the first is the current one."""
    now = releases.pointer(settings)
    if now is None:
        return []
    rows = []
    for number in sorted((int(p.stem) for p in settings.releases_dir.glob("[0-9]*.json")), reverse=True):
        if number > now.number:
            continue
        content = releases.open_release(settings, number).manifest
        rows.append(
            {
                "release": number,
                "current": number == now.number,
                "built_as_of": datetime.fromisoformat(content["built_as_of"]),
                "media": content["counts"]["media"],
                "opinions": content["counts"]["opinion"],
                **{name.removeprefix("hash_"): n for name, n in content["counts"].items() if name.startswith("hash_")},
                **content["changes"],
                "bytes": sum(f["size"] for f in content["files"].values()),
            }
        )
    return rows


@hashset.command()
@click.pass_obj
def build(settings: Settings) -> None:
    """Build and verify the next release from what was imported; it is not used before it is published."""
    report = building.build_release(settings, _run(settings))
    click.echo(", ".join(f"{k} {v}" for k, v in report.counts.items()))


@hashset.command()
@click.pass_obj
def publish(settings: Settings) -> None:
    """Make the release that was built the current one."""
    number = publishing.publish(settings)
    click.echo(f"Release {number} is current." if number else "Nothing was published.")
    approval_cli.announce(settings)


@hashset.command()
@click.argument("number", type=int, required=False)
@click.pass_obj
def verify(settings: Settings, number: int | None) -> None:
    """Check every byte of a release against its manifest, and its canaries. Exit code 4 when something differs."""
    manifest.forget()
    release = releases.current(settings) if number is None else releases.open_release(settings, number)
    con = release.connect()
    try:
        for algorithm in ALL:
            publishing.check_canaries(con, algorithm)
    finally:
        con.close()
    click.echo(f"Release {release.number} is sound: {len(release.manifest['files'])} files.")


@hashset.command()
@click.argument("older", type=int)
@click.argument("newer", type=int)
@output_options
@click.pass_obj
def diff(settings: Settings, older: int, newer: int) -> Rows:
    """What release NEWER says that OLDER did not: new, withdrawn and re-graded media with their digests."""
    return changes.diff(releases.open_release(settings, older), releases.open_release(settings, newer))


@hashset.command()
@click.option("--kind", "kinds", multiple=True, type=click.Choice(tuple(changes.CONFLICTS)), help="Only these kinds.")
@click.option("--release", "number", type=int, help="Release to ask. Default: the current one.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many.")
@output_options
@click.pass_obj
def conflicts(settings: Settings, kinds: tuple[str, ...], number: int | None, limit: int | None) -> Rows:
    """Where sources contradict each other or themselves, for a person to settle with them."""
    release = releases.current(settings) if number is None else releases.open_release(settings, number)
    return changes.conflicts(release, kinds, limit)


@hashset.command()
@click.option("--source", "source_id", required=True, help="Whose entries are withdrawn.")
@click.option("--md5", multiple=True, help="MD5, hex.")
@click.option("--sha1", multiple=True, help="SHA-1, hex.")
@click.option("--sha256", multiple=True, help="SHA-256, hex.")
@click.option("--pdq", multiple=True, help="PDQ, hex.")
@click.option("--photodna", multiple=True, help="PhotoDNA, hex or base64.")
@click.option("--reason", required=True, help="Why; it is kept with the withdrawal.")
@click.option("--by", "person", default=getpass.getuser, show_default="your account", help="Who withdraws.")
@click.option("--release/--no-release", default=True, help="Build and publish a release afterwards.")
@output_options
@click.pass_obj
def withdraw(
    settings: Settings, /, source_id: str, reason: str, person: str, release: bool, **hashes: tuple[str, ...]
) -> Rows:
    """Withdraw a source's entries by hash. They stay in the store, closed, and old releases still have them."""
    night = _run(settings)
    named = [(name, value) for name, values in hashes.items() for value in values]
    record = withdrawals.withdraw(
        settings, sources.load(settings).source(source_id), named, reason=reason, person=person, as_of=night.as_of
    )
    if release:
        approval_cli.release(settings, night.as_of)
    return [row for row in _imports(settings) if row["import"] == record.key]


@hashset.command()
@target_option()
@click.option("--source", "source_id", required=True, help="Whose entries, for example force.")
@click.option("--as", "form", type=click.Choice(["vics", "csv"]), help="Format. Default: by the name's ending.")
@click.option("--since", type=int, default=0, help="Only entries that are newer than this release.")
@click.option("--category", help="Only entries of this category, UK or the source's own.")
@click.option("--release", "number", type=int, help="Release to export from. Default: the current one.")
@click.pass_obj
def export(
    settings: Settings,
    *,
    target: Path,
    source_id: str,
    form: str | None,
    since: int,
    category: str | None,
    number: int | None,
) -> None:
    """Write a source's entries as VICS 2.0 or CSV. Importing the file again gives the same entries."""
    release = releases.current(settings) if number is None else releases.open_release(settings, number)
    chosen = form or ("csv" if target.suffix.lower() == ".csv" else "vics")
    write = exporting.export_csv if chosen == "csv" else exporting.export_vics
    count = write(release, target, source_id, since=since, category=category)
    click.echo(f"{count} entries of {source_id}, release {release.number}: {target}")
