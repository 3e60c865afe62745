"""`triage hashset detect` and `sources`: what a file is, and who is declared to send files."""

from __future__ import annotations

import json
from pathlib import Path

import click

from hashsets import sources
from hashsets.readers import registry as readers
from hashsets.readers.base import Source
from hashsets.release import releases
from pipeline.output import Rows, output_options
from pipeline.settings import Settings


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--source", "source_id", help="Use the column mapping of this source.")
@output_options
@click.pass_obj
def detect(settings: Settings, file: Path, source_id: str | None) -> Rows:
    """Say what a file is, without importing it."""
    source = Source(file)
    if source_id is not None:
        declared = sources.load(settings).source(source_id)
        source.columns = {**declared.list_form, "columns": dict(declared.columns)}
    found = readers.detect(source)
    return [
        {
            "file": file.name,
            "format": found.reader,
            "version": found.version,
            "country": found.country,
            "entity": found.entity,
        }
    ]


@click.command("sources")
@output_options
@click.pass_obj
def sources_(settings: Settings) -> Rows:
    """Declared sources (policy/hashsets.yaml) with what stands of each in the current release.

    `checkpoint` (NCMEC) is the time from which to ask for the next pages: it moves when a delivery has all its pages, or is completed by hand.
    """
    counts: dict[str, tuple[int, int]] = {}
    checkpoints: dict[str, str] = {}
    if releases.exists(settings):
        con = releases.current(settings).connect()
        try:
            rows = con.execute(
                """SELECT source_id, count(*) FILTER (valid_to IS NULL),
                          count(*) FILTER (valid_to IS NULL AND category = 'UNMAPPED') FROM opinion GROUP BY source_id"""
            ).fetchall()
            notes = con.execute("SELECT source_id, notes FROM set_release WHERE reader = 'ncmec'").fetchall()
        finally:
            con.close()
        for source_id, note in notes:
            stamp = json.loads(note).get("max_timestamp") or ""
            checkpoints[source_id] = max(checkpoints.get(source_id, ""), stamp)
        counts = {str(s): (int(n), int(u)) for s, n, u in rows}
    return [
        {
            "source": s.source_id,
            "kind": s.kind,
            "enabled": s.enabled,
            "votes": s.votes,
            "delivery": s.delivery,
            "category_map": f"{s.category_map.name} {s.category_map.version}",
            "entries": counts.get(s.source_id, (0, 0))[0],
            "unmapped": counts.get(s.source_id, (0, 0))[1],
            "checkpoint": checkpoints.get(s.source_id) or None,
        }
        for s in sources.load(settings).sources.values()
    ]
