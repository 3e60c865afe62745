"""Export of what sources say, as VICS 2.0 or CSV, so that another force's tools, or our own import, can read it.

VICS: one Media object per opinion, with the source's own category and everything that its row had (`extra` members
return to where they were). Importing such a file again as the same source gives the same opinions.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import orjson

from hashsets.algorithms import ALL, StoredHash
from hashsets.readers import exported
from hashsets.readers.vics import COLUMNS
from hashsets.release.asked import values_of
from hashsets.release.releases import Release
from pipeline import csvtext, files
from pipeline.algorithms import EXCHANGED
from pipeline.errors import UsageError
from pipeline.sql import compose, each

CONTEXT = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/{country}/$metadata#Media"
BATCH = 20_000
_PLAIN = ("entry_id", "raw_category", *exported.FLAGS, "size", "mime", "updated", "series", "tags", "extra")
_MEMBER = {column: name for name, column in COLUMNS.items()}
_DIRECT = tuple(name for name in EXCHANGED if name in _MEMBER)
"""Hashes that are members of a Media object; the others stand among its AlternativeHashes."""


def export_vics(release: Release, path: Path, source_id: str, *, since: int = 0, category: str | None = None) -> int:
    """Write the standing opinions of a source as VICS 2.0; returns how many. All or nothing.

    The country segment is the one that the opinions came with. Raises UsageError when they came with several, or when
    there is nothing to export.
    """
    country = _country(release, source_id)
    count = 0
    with files.atomic_writer(path) as file:
        file.write(b'{"@odata.context":%b,"value":[' % orjson.dumps(CONTEXT.format(country=country)))
        for row in _opinions(release, source_id, since, category):
            file.write(b",\n" if count else b"\n")
            file.write(orjson.dumps(media_object(row)))
            count += 1
        file.write(b"\n]}\n")
    return count


def export_csv(release: Release, path: Path, source_id: str, *, since: int = 0, category: str | None = None) -> int:
    """Write the standing opinions of a source as CSV with the columns exported.COLUMNS; returns how many. All or nothing."""
    count = 0
    with files.atomic_writer(path) as file:
        _write_csv(file, [])
        block: list[dict[str, Any]] = []
        for row in _opinions(release, source_id, since, category):
            block.append(_flat(row))
            count += 1
            if len(block) == BATCH:
                _write_csv(file, block)
                block = []
        if block:
            _write_csv(file, block)
    return count


def _write_csv(file: BinaryIO, block: list[dict[str, Any]]) -> None:
    text = csvtext.as_csv(exported.COLUMNS, block)
    file.write(text.split(b"\r\n", 1)[1] if block else text)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    flat = {**row, "source": row["source_id"], "category": row["raw_category"], "uk_category": row["category"]}
    flat |= {name: row[name].hex() if row[name] is not None else None for name in EXCHANGED}
    return {name: exported.as_cell(flat[name]) for name in exported.COLUMNS}


def media_object(row: dict[str, Any]) -> dict[str, Any]:
    """One opinion with its hashes as a Media object. Yes, no and absent stay apart; PhotoDNA is base64."""
    media: dict[str, Any] = {}
    if row["member"]:
        media[_MEMBER["member"]] = row["member"]
    if row["disputed"]:
        media[_MEMBER["disputed"]] = True
    for column in _PLAIN:
        value = row[column]
        if value is None or column == "extra":
            continue
        name = _MEMBER["category" if column == "raw_category" else column]
        if column in {"entry_id", "raw_category"} and value.isascii() and value.isdigit() and str(int(value)) == value:
            value = int(value)
        if column in {"series", "tags"} and not any("," in item for item in value):
            value = ",".join(value)
        media[name] = value
    for name in _DIRECT:
        if row[name] is not None:
            text = base64.b64encode(row[name]).decode() if name == "photodna" else row[name].hex().upper()
            media[_MEMBER[name]] = text
    others = [
        {"HashName": a.name, "HashValue": row[a.name].hex()}
        for a in ALL
        if a.name not in _DIRECT and row[a.name] is not None
    ]
    extra = orjson.loads(row["extra"]) if row["extra"] else {}
    if others:
        extra["AlternativeHashes"] = [*others, *extra.get("AlternativeHashes", [])]
    return media | extra


def _country(release: Release, source_id: str) -> str:
    con = release.connect()
    try:
        rows = con.execute(
            "SELECT DISTINCT country FROM opinion WHERE source_id = ? AND valid_to IS NULL", [source_id]
        ).fetchall()
    finally:
        con.close()
    if not rows:
        raise UsageError(
            f"Release {release.number} has no entries of {source_id}.", "`triage hashset sources` lists them."
        )
    countries = sorted({str(r[0]) or "CUSTOM" for r in rows})
    if len(countries) > 1:
        raise UsageError(
            f"The entries of {source_id} came with several country segments: {', '.join(countries)}.",
            "One VICS file has one, and it decides what its categories mean. Export as CSV.",
        )
    return countries[0]


def _opinions(release: Release, source_id: str, since: int, category: str | None) -> Iterator[dict[str, Any]]:
    """Standing opinions with all hashes of their media, ordered by where they were read."""
    con = release.connect()
    try:
        con.execute(
            """CREATE TEMP TABLE chosen AS
               SELECT o.*, m.grade, row_number() OVER (ORDER BY o.set_id, o.position, o.member) AS n
               FROM opinion o JOIN media m USING (media_key)
               WHERE o.valid_to IS NULL AND o.source_id = ? AND o.valid_from > ?
                 AND (?::VARCHAR IS NULL OR o.category = ? OR o.raw_category = ?)""",
            [source_id, since, category, category, category],
        )
        total = con.execute("SELECT count(*) FROM chosen").fetchall()[0][0]
        for start in range(0, total, BATCH):
            rows = con.sql(
                "SELECT * FROM chosen WHERE n > ? AND n <= ? ORDER BY n", params=[start, start + BATCH]
            ).to_arrow_table()
            hashes = {a.name: _hashes(con, a, start) for a in ALL}
            for row in rows.to_pylist():
                yield row | {name: found.get(row["media_key"]) for name, found in hashes.items()}
    finally:
        con.close()


def _hashes(con: duckdb.DuckDBPyConnection, algorithm: StoredHash, start: int) -> dict[int, bytes]:
    """One value per media item (the first added); further perceptual values of a media belong to other sources' entries."""
    columns = each("h.{name}", (*algorithm.columns, *([algorithm.name] if algorithm.opaque else [])))
    table = con.sql(
        compose(
            """SELECT h.media_key, {columns} FROM {table} h
            SEMI JOIN (SELECT media_key FROM chosen WHERE n > ? AND n <= ?) c ON c.media_key = h.media_key
            ORDER BY h.release DESC, {columns} DESC""",
            columns=columns,
            table=algorithm.table,
        ),
        params=[start, start + BATCH],
    ).to_arrow_table()
    return dict(zip(table.column("media_key").to_pylist(), values_of(algorithm, table).to_pylist(), strict=True))
