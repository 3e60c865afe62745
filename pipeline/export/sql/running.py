"""`triage query`: what a statement may read, put together for the process that runs it, and the list of it all."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import select

from hashsets.release import releases
from pipeline import plainwords, records
from pipeline.export.asking import Enquiry, digest
from pipeline.export.listing import readable
from pipeline.export.reporting import describe, load, tables
from pipeline.export.sql import history, sources
from pipeline.export.sql import query as queries
from pipeline.export.sql.query import ViewSource
from pipeline.lake import Lake
from pipeline.people import permissions
from pipeline.settings import Settings
from pipeline.store.tables import CaseReferral

HIDDEN_BY = {*sources.HIDING, "sha256", "file_id"}
"""Columns by which rows are left out, or filled with less, when there are referrals to hide."""
RESTRICTED = {"compartment", "locator", "inputs"}
"""Columns that are restricted row by row, whatever else there is to hide."""


TEXTS = ("narratives", "originals")
"""Lake tables that hold what people wrote, as it came in: they are read as the texts of cases are."""


VERBATIM = {
    "referrals": ("unknown_keys", "escalation_text", "extension"),
    "defects": ("original",),
    "facts": ("detail",),
}
"""Columns of other lake tables that hold words of a report as they came in, among them what people wrote: in a key that nobody
knows, given twice, or of another type; why it is urgent; what is known of a fact; where and how, in the blocks of the forms. They
are empty but for who may open texts and names the column."""
WORDS = {
    name: (*VERBATIM.get(name, ()), *plainwords.COLUMNS.get(name, ()))
    for name in sorted(VERBATIM.keys() | plainwords.COLUMNS.keys())
}
"""These columns, and those whose values are words of the sender only here and there: marks, and times as they were written. Named,
they are there for everybody as far as they are no texts."""


def source(settings: Settings, question: Enquiry, sql: str) -> ViewSource:
    """Lake tables, release and case views as this person may see them, and the reporting tables when there are any.

    Lake tables with rows to hide are handed over as filtered copies, all others as their verified files. Tables with texts are
    handed over only to a statement that names them, columns with words of reports too. Raises PermissionDeniedError for who may
    not open texts.
    """
    texts = [name for name in TEXTS if _is_named(name, sql)]
    for _ in texts:
        permissions.require(question.actor, "case.read_text")
    lake = Lake.of(settings)
    hidden = question.hidden_referrals()
    parts = sources.lake_parts(settings)
    copies = sources.empty_lake_tables(parts)
    blank: dict[str, tuple[str, ...]] = {}
    for name in list(parts):
        columns = set(records.arrow_schema(name).names)
        restricted = bool((hidden and HIDDEN_BY & columns) or RESTRICTED & columns)
        if name in WORDS and not _is_named(name, sql):
            copies[name] = records.empty(name)
        elif name in WORDS and ((wanted := _wanted(name, sql)) or restricted):
            rows = readable(lake, name, hidden, question.actor.compartments, columns - {*WORDS[name]} | wanted)
            copies[name] = verbatim(settings, question, name, rows, wanted)
        elif name in WORDS:
            blank[name] = WORDS[name]
            continue
        elif name in texts or restricted:
            copies[name] = readable(lake, name, hidden, question.actor.compartments)
        else:
            continue
        del parts[name]
    copies |= sources.case_tables(question.session, question.actor)
    for name in texts:
        open_texts(question, name, copies[name])
    for name in set(TEXTS) - set(texts):
        copies.pop(name, None)
        parts.pop(name, None)
    reporting = load(settings, question.actor.compartments)
    if reporting is not None:
        copies |= reporting.tables
    pointer = releases.pointer(settings)
    database = releases.current(settings).folder / releases.DATABASE if pointer else None
    return ViewSource(parts, copies, database, blank)


def reason_of(sql: str, given: str) -> str:
    """Why it is asked: what was given, or the name of a named statement, which says it."""
    return given or (f"named query {sql.strip()}" if sql.strip().startswith("@") else "")


def run(settings: Settings, question: Enquiry, sql: str, limits: queries.Limits) -> queries.QueryResult:
    """Run a statement, or the named one of `@name`: logged before it runs and after, and kept in the person's own history.

    Raises what `query.named`, `source` and `query.run` raise.
    """
    asked = sql.strip()
    named = asked.startswith("@")
    text = queries.named(asked[1:]) if named else asked
    statement = asked if named else digest(text)
    question.log("consultation", "query.run", "sql", {"statement": statement})
    place = history.keep(question, asked)
    answer = queries.run(text, source(settings, question, text), limits)
    question.log("consultation", "query.answered", "sql", {"statement": statement, "rows": answer.table.num_rows})
    history.answered(question, place, answer.table.num_rows)
    return answer


def schema(settings: Settings, question: Enquiry) -> list[dict[str, Any]]:
    """What the person may read, with columns: kind, name, meaning, columns (name and type)."""
    texts = permissions.allowed(question.actor, "case.read_text")
    rows = [
        _described("lake table", name, records.describe(name)["description"], records.arrow_schema(name))
        for name in records.tables()
        if texts or name not in TEXTS
    ]
    rows += [
        _described("case view", name, sources.MEANINGS[name], table.schema)
        for name, table in sources.case_tables(question.session, question.actor).items()
    ]
    reporting = load(settings, question.actor.compartments)
    for name, table in reporting.tables.items() if reporting else ():
        rows.append(_described("reporting table", name, describe(name)["description"], table.schema))
    return [*rows, *_release_schema(settings)]


def _described(kind: str, name: str, meaning: str, columns: pa.Schema) -> dict[str, Any]:
    return {"kind": kind, "name": name, "meaning": meaning, "columns": [(c.name, str(c.type)) for c in columns]}


def _release_schema(settings: Settings) -> list[dict[str, Any]]:
    if releases.pointer(settings) is None:
        return []
    connection = releases.current(settings).connect()
    try:
        found = connection.execute(
            "SELECT table_name, column_name, lower(data_type) FROM duckdb_columns() WHERE NOT internal ORDER BY ALL"
        ).fetchall()
    finally:
        connection.close()
    tables: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind in found:
        tables.setdefault(table, []).append((column, kind))
    meaning = "A table of the current known-hash release."
    return [
        {"kind": "release", "name": f"release.{table}", "meaning": meaning, "columns": columns}
        for table, columns in tables.items()
    ]


def open_texts(question: Enquiry, table: str, rows: pa.Table) -> None:
    """Log that somebody is about to read these rows of a table of texts. Raises PermissionDeniedError for who may not."""
    permissions.require(question.actor, "case.read_text")
    referrals = set(rows["referral_id"].to_pylist())
    held = question.session.execute(select(CaseReferral.referral_id, CaseReferral.case_id))
    cases = {row.referral_id: row.case_id for row in held}
    question.log_texts({cases[r] for r in referrals if r in cases}, table)


def verbatim(settings: Settings, question: Enquiry, table: str, rows: pa.Table, wanted: Collection[str]) -> pa.Table:
    """Rows of a table of `WORDS` with those of its columns that somebody wants; the others are empty. Texts in them stay for who may
    open texts, which is logged as that."""
    plain = plainwords.of(settings)
    masks = {
        column: pc.is_valid(rows[column]) if column in VERBATIM.get(table, ()) else plain.texts(column, rows[column])
        for column in WORDS[table]
        if column in wanted
    }
    columns = {column: rows[column] for column in masks}
    if not permissions.allowed(question.actor, "case.read_text"):
        columns = {column: plain.without(column, rows[column], mask) for column, mask in masks.items()}
    elif masks:
        open_texts(question, table, rows.filter(plainwords.any_of([*masks.values()])))
    schema = records.arrow_schema(table)
    held = {name: rows[name] for name in schema.names if name not in WORDS[table]} | columns
    return pa.Table.from_arrays(
        [held[field.name] if field.name in held else pa.nulls(rows.num_rows, field.type) for field in schema],
        schema=schema,
    )


def _wanted(table: str, sql: str) -> set[str]:
    return {column for column in WORDS[table] if _is_named(column, sql)}


def _is_named(name: str, sql: str) -> bool:
    return re.search(rf"\b{name}\b", sql, re.IGNORECASE) is not None


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
