"""`triage ingest`: take in what lies in the landing folder."""

from __future__ import annotations

from typing import Any

import click

from pipeline import night, nightly
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
