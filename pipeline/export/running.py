"""`triage query`: what a statement may read, put together for the process that runs it, and the list of it all."""

from __future__ import annotations

from typing import Any

from hashsets import releases
from pipeline import records
from pipeline.export import query as queries
from pipeline.export import sources
from pipeline.export.asking import Question
from pipeline.export.listing import readable
from pipeline.export.query import Answer, Limits, Source
from pipeline.export.reporting import describe, load, tables
from pipeline.lake import Lake
from pipeline.settings import Settings

HIDDEN_BY = {*sources.HIDING, "sha256", "file_id"}
"""Columns by which rows are left out, or filled with less, when there are referrals to hide."""
RESTRICTED = {"compartment", "locator"}
"""Columns that are restricted row by row, whatever else there is to hide."""


def run(settings: Settings, question: Question, sql: str, limits: Limits) -> Answer:
    """Run a statement for a person. Raises as `query.run`."""
    return queries.run(sql, source(settings, question), limits)


def source(settings: Settings, question: Question) -> Source:
    """Lake tables, release and case views as this person may see them, and the reporting tables when there are any.

    Lake tables with rows to hide are handed over as filtered copies, all others as their verified files.
    """
    lake = Lake.of(settings)
    hidden = question.hidden_referrals()
    parts = sources.lake_parts(settings)
    copies = sources.empty_lake_tables(parts)
    for name in list(parts):
        columns = set(records.arrow_schema(name).names)
        if (hidden and HIDDEN_BY & columns) or RESTRICTED & columns:
            copies[name] = readable(lake, name, hidden, question.actor.compartments)
            del parts[name]
    copies |= sources.case_tables(question.session, question.actor)
    reporting = load(settings)
    if reporting is not None:
        copies |= reporting.tables
    pointer = releases.pointer(settings)
    database = releases.current(settings).folder / releases.DATABASE if pointer else None
    return Source(parts, copies, database)


def catalogue(settings: Settings) -> list[dict[str, Any]]:
    """What can be read and which named statements there are: kind, name, meaning."""
    rows = [
        {"kind": "lake table", "name": name, "meaning": records.describe(name)["description"]}
        for name in records.tables()
    ]
    rows += [{"kind": "case view", "name": name, "meaning": sources.MEANINGS[name]} for name in sources.VIEWS]
    rows += [{"kind": "reporting table", "name": name, "meaning": describe(name)["description"]} for name in tables()]
    rows += [
        {
            "kind": "release",
            "name": "release.*",
            "meaning": "The current known-hash release: media, opinion, change, hash_md5 and others",
        }
    ]
    rows += [
        {"kind": "named statement", "name": f"@{name}", "meaning": queries.describe(path)}
        for name, path in sorted(queries.names().items())
    ]
    return rows
