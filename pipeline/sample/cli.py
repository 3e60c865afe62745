"""`triage sample`: something to try the product with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from pipeline.output import Rows, output_options
from pipeline.sample import folder as samples
from pipeline.settings import Settings


@click.command()
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed and day give the same files.")
@click.option("--referrals", type=click.IntRange(1, 100_000), default=40, show_default=True, help="Referrals to write.")
@click.option("--known", type=click.IntRange(1, 5000), default=60, show_default=True, help="Pictures in the hash set.")
@click.option(
    "--unknown",
    type=click.IntRange(1, 10_000_000),
    default=400,
    show_default=True,
    help="Distinct pictures that are not in the hash set.",
)
@click.option("--files", type=click.IntRange(0, 1000), default=None, help="Files in every referral. Default: varied.")
@click.option(
    "--day", type=click.DateTime(["%Y-%m-%d"]), default=None, help="Everything lies before it. Default: today."
)
@output_options
@click.pass_context
def sample(
    ctx: click.Context, *, seed: int, referrals: int, known: int, unknown: int, files: int | None, day: datetime | None
) -> Rows:
    """Write synthetic referral packages and a hash set into the landing folder.

    Every format, wrapping and mishap occurs: duplicates, supplements, text-only referrals, defects, half-copied and
    hostile packages. Pictures are generated shapes, or photographs of TRIAGE_CORPORA when that is set, with edited
    copies; the VICS hash set landing/hashsets/demo/demo.json knows some of them. ground_truth.json in TRIAGE_HOME says
    what must be found. Every person, account and text is invented.

    Example: TRIAGE_HOME=/tmp/trial triage sample --seed 7 --referrals 100
    """
    settings: Settings = ctx.obj
    moment = day.replace(tzinfo=UTC) if day else datetime.now(UTC)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Writing referrals", total=referrals)
        counts = samples.write(
            settings.landing_dir,
            settings.home / "ground_truth.json",
            seed=seed,
            referrals=referrals,
            day=moment,
            known=known,
            unknown=unknown,
            files=files,
            step=lambda: progress.advance(task),
        )
    rows: list[dict[str, Any]] = [{"what": name, "count": counts[name]} for name in sorted(counts)]
    return rows
