"""`triage hashset waiting` and `complete`: pages of a delivery that wait for other pages."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime

import click

from hashsets.importing import paging
from hashsets.release import building, releases
from pipeline.approval import cli as approval_cli
from pipeline.errors import UsageError
from pipeline.output import Rows, output_options
from pipeline.settings import Settings


@click.command("waiting")
@output_options
@click.pass_obj
def waiting(settings: Settings) -> Rows:
    """Pages of deliveries that are in no release because another page is missing: which, why and since when."""
    return [
        {
            "source": page.record.source_id,
            "file": page.record.file_name,
            "import": page.record.key,
            "why": page.why,
            "since": page.since,
            "entries": page.record.accepted,
        }
        for page in building.waiting_pages(settings)
    ]


@click.command("complete")
@click.argument("source_id", metavar="SOURCE")
@click.option("--reason", required=True, help="Why no more pages will come; it is kept with the delivery.")
@click.option("--by", "person", default=getpass.getuser, show_default="your account", help="Who says so.")
@click.option("--release/--no-release", default=True, help="Build and publish a release afterwards.")
@click.pass_obj
def complete(settings: Settings, source_id: str, reason: str, person: str, release: bool) -> None:
    """Take in the waiting pages of SOURCE as they are, without those that are missing.

    The checkpoint of the source moves with them: ask the sender again for the time of the missing pages.
    """
    if not reason.strip():
        raise UsageError("Completing a delivery needs a reason.", "Say why with --reason.")
    now = datetime.now(UTC).replace(microsecond=0)
    previous = releases.current(settings) if releases.pointer(settings) else None
    fresh = building.not_taken(settings, previous)
    done = paging.complete(settings, fresh, source_id, person=person, reason=reason, as_of=now)
    click.echo(f"{len(done)} pages of {source_id} enter the next release without the missing ones.")
    if release:
        approval_cli.release(settings, now)


def announce(settings: Settings) -> None:
    """Say on standard error which pages wait, so that nobody takes an import for done that is not."""
    for page in building.waiting_pages(settings):
        click.echo(
            f"{page.text}. To take in what is there: `triage hashset complete {page.record.source_id}`.", err=True
        )
