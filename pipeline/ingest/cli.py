"""`triage ingest`: take in what lies in the landing folder."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from pipeline import contract as night
from pipeline.ingest import quarantine, stage
from pipeline.lake import Lake
from pipeline.night import stages as nightly
from pipeline.output import Rows, output_options
from pipeline.settings import Settings


@click.command()
@click.option("--run", "run_id", default=None, help="Name of the run. Default: tonight's, started if need be.")
@output_options
@click.pass_context
def ingest(ctx: click.Context, run_id: str | None) -> Rows:
    """Take in packages from the landing folder: validate, recognise duplicates and supplements, quarantine.

    A package is taken when a .ready marker, a .sha256 list or a BagIt manifest says that it is complete. What cannot
    be read is left where it is; quarantine/<package id>.txt then holds a text that can be sent back. The command may
    be repeated at any time: what is taken in already is not taken in again.

    Example: triage ingest --format table
    """
    settings: Settings = ctx.obj
    report = nightly.run_stage(settings, nightly.find("ingest"), night.start(settings, run_id))
    rows: list[dict[str, Any]] = [{"what": "packages read", "count": report.read}]
    rows += [{"what": f"packages {reason}", "count": n} for reason, n in sorted(report.rejected.items())]
    rows += [{"what": name, "count": n} for name, n in sorted(report.counts.items())]
    return rows


@click.command()
@output_options
@click.pass_context
def waiting(ctx: click.Context) -> Rows:
    """Packages in the landing folder that are not complete yet, each with what is missing and since when.

    Looked at now, checksums included; nothing is taken in and nothing written. A package that waits longer than
    waiting_hours (policy/ingest.yaml) is returned by the next run and then listed by `triage returned`.

    Example: triage waiting --format table
    """
    now = datetime.now(UTC)
    return [
        {
            "landing_folder": candidate.package.landing_folder,
            "container": candidate.package.container,
            "hours": round(candidate.package.hours(now), 1),
            "reasons": "; ".join(candidate.waits),
        }
        for candidate in stage.waiting(ctx.obj, night.Night("waiting", now))
    ]


@click.command()
@output_options(
    columns=("container", "landing_folder", "hours", "reasons", "clock_from", "times_returned", "package_id")
)
@click.pass_context
def returned(ctx: click.Context) -> Rows:
    """Packages in quarantine that nothing has put right yet: returned for information, their clock running.

    The clock runs from the first arrival. Several reasons are all listed; the text for the sender is in
    quarantine/<package id>.txt. A package is settled when one is taken in that has its name (with or without
    "-corrected"), its report, or names its reference as an earlier report.

    Example: triage returned --format table
    """
    settings: Settings = ctx.obj
    now = datetime.now(UTC)
    return [
        {
            "container": row.container,
            "landing_folder": row.landing_folder,
            "hours": row.hours(now),
            "clock_from": row.clock_from,
            "state": "returned for information",
            "times_returned": row.returned,
            "reasons": "; ".join(row.reasons),
            "package_id": row.package_id,
        }
        for row in quarantine.outstanding(Lake.of(settings))
    ]
