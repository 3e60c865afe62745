"""`triage watch` and `triage alarms`."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from pipeline import logs, policy
from pipeline.errors import DependencyError, IntegrityError
from pipeline.night import sharing
from pipeline.output import Rows, output_options
from pipeline.settings import Settings
from pipeline.store.opening import Store, open_store
from pipeline.watch import alarms, exposition, measures, watching, ways

WATCHED = Path(tempfile.gettempdir()) / "triage-watched"
"""Touched after every look: the health check of the service looks at its age."""


@click.command()
@click.option("--once", is_flag=True, help="Look once and end.")
@click.pass_obj
def watch(settings: Settings, once: bool) -> None:
    """Look after the product: raise alarms, tell people, push measures. Runs beside everything else, until it is ended.

    \b
    A night that failed, is late or does not reconcile, many packages in quarantine, a hash-set delivery that waits, the audit
    log and its anchors, the disk. policy/alarms.yaml has the thresholds; TRIAGE_ALARM_SMTP with TRIAGE_ALARM_TO, and
    TRIAGE_ALARM_WEBHOOK, say how people are told; OTEL_EXPORTER_OTLP_ENDPOINT where measures are pushed to.
    """
    logs.configure(settings)
    rules = policy.load(settings, watching.POLICY).data
    ways.configured(settings)
    store, provider = open_store(settings), exposition.collector()
    try:
        while True:
            _look(store, provider)
            if once:
                return
            time.sleep(60 * float(rules["look_every_minutes"]))
    finally:
        store.close()
        if provider is not None:
            provider.shutdown()


def _look(store: Store, provider: object) -> None:
    """One look. A database that is away ends this look and not the watch."""
    log = logs.get("watch")
    try:
        sharing.bring(store.settings)
        done = watching.look(store, datetime.now(UTC))
        log.info("looked", **done)
        if provider is not None and not exposition.push(provider, measures.snapshot(store)):
            log.warning("measures not taken by the collector")
    except (DependencyError, IntegrityError) as error:
        log.error("could not look", reason=error.message)
    WATCHED.touch()


@click.command("alarms")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Alarms shown.")
@click.option("--test", is_flag=True, help="Send a test message by every configured way, and say whether it was taken.")
@click.pass_obj
@output_options
def alarms_command(settings: Settings, limit: int, test: bool) -> Rows:
    """Alarms, the newest first: what they are about, since when, and whether people were told."""
    store = open_store(settings)
    try:
        if test:
            message = ways.Message(f"[triage {settings.force}] Test", "A test of the alarms.\n", {"kind": "test"})
            failed = ways.send(settings, message)
            return [{"way": n, "taken": n not in failed, "error": failed.get(n)} for n in ways.configured(settings)]
        shown = ("kind", "facts", "raised_at", "sent_at", "closed_at")
        return [{column: getattr(alarm, column) for column in shown} for alarm in alarms.all_of(store, limit)]
    finally:
        store.close()
