"""`triage hashset approval`, `approve` and `refuse`: a release that waits for a person."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hashsets.release import building, publishing
from pipeline.approval import deciding
from pipeline.approval.page import page
from pipeline.people.person import as_option, signed_in
from pipeline.settings import Settings


def release(settings: Settings, night_of: datetime) -> None:
    """Build, judge and publish, as a command does; says on standard error when the release waits for a person."""
    from pipeline.approval import stage  # matching and assessing are loaded only where they are needed

    with _watched() as watched:
        stage.run(settings, building.own_run(settings, night_of), watched=watched)
    announce(settings)


@contextmanager
def _watched() -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal: which cases a release would move is found by matching all earlier nights with what it changes."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not sys.stderr.isatty(), transient=True, console=Console(stderr=True)) as bar:
        task = bar.add_task("Cases that the release would move: units of earlier nights", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def announce(settings: Settings) -> None:
    """Say on standard error when a release waits, why, and what to do."""
    found = deciding.open_one(settings)
    if found is not None and found.reasons:
        click.echo(f"Release {found.release} is built and waits for a person ({found.state}):", err=True)
        for reason in found.reasons:
            click.echo(f"  {reason}", err=True)
        click.echo("`triage hashset approval` shows it; then `approve` or `refuse`.", err=True)


@click.command("approval")
@click.pass_obj
def approval(settings: Settings) -> None:
    """Show the release that waits for a person: what it changes, by category, and the cases that would move.

    Which changes wait is in policy/hashsets.yaml, `approval`.
    """
    from hashsets.release import approving
    from pipeline.approval import judging

    found = deciding.open_one(settings)
    waits = approving.built(settings) is not None  # a look makes no run where there is nothing to judge
    if waits and (found is None or found.difference.moved is None):
        with _watched() as watched:
            run = building.own_run(settings, datetime.now(UTC).replace(microsecond=0))
            found = judging.judge(settings, run, watched)
    if found is None:
        click.echo("No release waits.")
        return
    sys.stdout.write(page(found))


@click.command("approve")
@click.argument("number", type=int, metavar="RELEASE")
@click.option("--reason", required=True, help="Why; it is kept with the decision and logged.")
@as_option
@click.pass_obj
def approve(settings: Settings, number: int, reason: str, name: str | None) -> None:
    """Approve the release that waits, and publish it. For supervisors and DMIs; logged.

    Where Airflow runs, retro-matching starts by itself within a minute; its question (Required actions) is answered there
    as well, since it holds the next refresh up. Without Airflow, `triage night stage retro_match` does that.
    """
    with signed_in(settings, name) as (store, actor):
        deciding.decide(store, actor, number, True, reason)
    published = publishing.publish(settings)
    click.echo(f"Release {number} is approved" + (" and current." if published == number else "."))


@click.command("refuse")
@click.argument("number", type=int, metavar="RELEASE")
@click.option("--reason", required=True, help="Why; it is kept with the decision and logged.")
@as_option
@click.pass_obj
def refuse(settings: Settings, number: int, reason: str, name: str | None) -> None:
    """Refuse the release that waits: it is not published. For supervisors and DMIs; logged.

    What it was built from waits in the imports: `triage hashset discard KEY` removes an import, and the next build goes without.
    """
    with signed_in(settings, name) as (store, actor):
        deciding.decide(store, actor, number, False, reason)
    click.echo(f"Release {number} is refused. `triage hashset imports` lists what it was built from.")
