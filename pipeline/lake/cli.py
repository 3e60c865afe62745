"""`triage lake`: the lake's tables, their snapshots and their upkeep."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from pipeline import policy, records
from pipeline.errors import UsageError
from pipeline.lake import old, upkeep
from pipeline.lake.lake import Lake
from pipeline.output import Rows, output_options
from pipeline.settings import Settings


@click.group()
def lake() -> None:
    """The lake: its tables, its past, its upkeep.

    \b
    triage lake tables                    every table with its rows and files
    triage lake tables --after RUN        the same as it was after a run
    triage lake maintain                  merge small files, remove what retention no longer keeps
    triage lake verify                    check every file against its SHA-256
    triage lake migrate                   bring over a lake of the version before
    """


@lake.command("tables")
@click.option("--after", "run_id", default=None, help="As it was after the last commit of this run.")
@click.option("--at", type=click.DateTime(["%Y-%m-%dT%H:%M:%S%z"]), default=None, help="As it was at this moment.")
@output_options
@click.pass_obj
def tables(settings: Settings, run_id: str | None, at: datetime | None) -> Rows:
    """Every table with its rows and files, as it is or as it was.

    \b
    triage lake tables --after night-2026-11-21
    triage lake tables --at 2026-11-21T06:00:00+0000
    """
    found = Lake.of(settings)
    if run_id is not None and at is not None:
        raise UsageError("Give --after or --at, not both.")
    if run_id is not None:
        found = found.after(run_id)
    elif at is not None:
        found = found.at(at)
    rows: list[dict[str, Any]] = []
    for table in records.tables():
        parts = found.parts(table)
        if parts:
            rows.append({"table": table, "rows": sum(p.rows for p in parts), "files": len(parts)})
    return rows


@lake.command("maintain")
@click.pass_obj
def maintain(settings: Settings) -> None:
    """Merge small files into large ones, and remove those that were merged away longer ago than policy keeps snapshots.

    The weekly DAG `lake_maintenance` does the same. Safe beside a running night.
    """
    counts = upkeep.maintain(settings, f"maintenance-{datetime.now(UTC):%Y-%m-%d}")
    click.echo(", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in counts.items()))
    kept = policy.load(settings, "lake").data["snapshots_days"]
    click.echo(f"Snapshots of the last {kept} days can be read.")


@lake.command("verify")
@click.pass_obj
def verify(settings: Settings) -> None:
    """Check every file of the lake against its SHA-256. Exit code 4 at the first that is not what was written."""
    click.echo(f"{Lake.of(settings).verify()} files are what was written.")


@lake.command("migrate")
@click.pass_obj
def migrate(settings: Settings) -> None:
    """Bring over a lake of the version before, in place. Every file is verified first; killed anywhere, run it again."""
    root = settings.lake_dir
    if not isinstance(root, Path):
        raise UsageError(
            "Only a lake in a folder can be of the version before.", "Unset TRIAGE_LAKE to migrate HOME/lake."
        )
    count = old.migrate(root)
    click.echo(f"{count} commits brought over." if count else "Nothing to bring over.")
