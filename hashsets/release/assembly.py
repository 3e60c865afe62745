"""Putting a release together in a folder of its own: the database, the indexes, the checks, the manifest."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from hashsets import sources
from hashsets.algorithms import ALL
from hashsets.importing import importer
from hashsets.readers.registry import READERS
from hashsets.release import canaries, grading, identity, indexing, manifest, opinions, publishing, releases
from hashsets.release.tables import connect_build, connect_read_only, create, scalar, upgrade
from pipeline import __version__, files
from pipeline.algorithms import version_of
from pipeline.contract import Night
from pipeline.errors import ReconciliationError
from pipeline.jsontext import canonical_json
from pipeline.settings import Settings
from pipeline.sql import Sql, compose, each, insert, joined

STATES = ("kept", "duplicate", "updated", "withdrawn")
_HASHES = tuple(a.table for a in ALL)


@dataclass(frozen=True)
class ReleasePlan:
    """What release `number` is made of: the one before, and `inputs` (keys of imports, then the policy's digest)."""

    settings: Settings
    night: Night
    policy: sources.HashsetPolicy
    previous: releases.Release | None
    number: int
    inputs: tuple[str, ...]


def assemble(plan: ReleasePlan, folder: Path) -> dict[str, Any]:
    """Build and verify the planned release in `folder`; returns the content of its manifest, which is written last.

    Nobody else knows the folder, and a failed build is thrown away: no transaction is needed. Raises ReconciliationError when rows do not add up, IntegrityError when an import is damaged.
    """
    settings, previous, number = plan.settings, plan.previous, plan.number
    spill = folder.parent / f"{files.TEMPORARY}{os.getpid()}-spill"
    database = folder / releases.DATABASE
    if previous is not None:
        shutil.copyfile(previous.folder / releases.DATABASE, database)
    con = connect_build(database, settings, spill)
    try:
        if previous is None:
            create(con)
            canaries.plant(con)
        else:
            upgrade(con)
        con.execute("CREATE OR REPLACE TEMP TABLE touched (media_key BIGINT)")
        _declare(con, plan)
        pending = [i for i in importer.all_imports(settings) if i.key in set(plan.inputs)]
        taken = [_take_in(con, plan, record) for record in pending]
        con.execute(
            compose(
                """CREATE OR REPLACE TEMP TABLE new_hash AS
                {those}""",
                those=each("SELECT media_key FROM {name} WHERE release = {number}", _HASHES, " UNION ", number=number),
            )
        )
        con.execute("INSERT INTO touched SELECT media_key FROM new_hash WHERE media_key >= 0")
        changes = grading.regrade(con, number, plan.policy.trusted_votes)
        con.execute("CHECKPOINT")
        versions = {a.name: version_of(a.name) for a in ALL if a.indexed}
        rows = indexing.build(con, folder, previous, number, versions)
        counts = _counts(con)
    finally:
        con.close()
        shutil.rmtree(spill, ignore_errors=True)
    content = {
        "release": number,
        "previous": previous.number if previous else None,
        "built_as_of": plan.night.as_of.isoformat(),
        "run_id": plan.night.run_id,
        "inputs": list(plan.inputs),
        "import_keys": sorted({*(previous.manifest["import_keys"] if previous else []), *(i.key for i in pending)}),
        "policy_sha256": plan.policy.digest,
        "trusted_votes": plan.policy.trusted_votes,
        "imports": taken,
        "changes": changes,
        "counts": counts,
        "indexes": rows,
        "hasher_versions": versions,
        "software": {"referral-triage": __version__, "duckdb": duckdb.__version__},
    }
    _verify(settings, database, counts)
    manifest.write(folder, content, indexing.written(folder))
    return content


def _declare(con: duckdb.DuckDBPyConnection, plan: ReleasePlan) -> None:
    """Write the sources and category maps in force; where they differ from before, opinions are mapped anew."""
    policy = plan.policy
    before = {
        row[0]: row[1:]
        for row in con.execute("SELECT source_id, kind, origin, enabled, category_map_sha256 FROM source").fetchall()
    }
    old_votes = scalar(con, "SELECT trusted_votes FROM release ORDER BY release DESC LIMIT 1")
    for table in ("category_map", "source"):
        gone = compose("DELETE FROM {table} WHERE source_id IN (SELECT unnest(?))", table=table)
        con.execute(gone, [list(policy.sources)])
    _fill(con, "category_map", [row for s in policy.sources.values() for row in s.category_map.rows(s.source_id)])
    _fill(con, "source", [_row(s) for s in policy.sources.values()])
    for s in policy.sources.values():
        known = before.get(s.source_id)
        if known is not None and known[3] != s.category_map.digest:
            con.execute(
                """UPDATE opinion SET category = coalesce((
                       SELECT c.category FROM category_map c WHERE c.source_id = opinion.source_id
                       AND c.country = opinion.country AND upper(c.raw_category) = upper(opinion.raw_category)), 'UNMAPPED')
                   WHERE source_id = ? AND valid_to IS NULL""",
                [s.source_id],
            )
        if known is not None and known != (s.kind, s.origin, s.enabled, s.category_map.digest):
            con.execute("INSERT INTO touched SELECT DISTINCT media_key FROM opinion WHERE source_id = ?", [s.source_id])
    if old_votes and old_votes != policy.trusted_votes:
        con.execute("INSERT INTO touched SELECT media_key FROM media")
    con.execute(
        "INSERT INTO release VALUES (?, ?, ?, ?, ?, ?)",
        [plan.number, plan.night.as_of, plan.night.run_id, policy.digest, policy.trusted_votes, __version__],
    )


def _row(s: sources.KnownSource) -> tuple[Any, ...]:
    """A source as the table has it, in the order of its columns."""
    of_map = (s.category_map.name, s.category_map.digest)
    return (s.source_id, s.name, s.owner, s.kind, s.jurisdiction, *of_map, s.origin, s.enabled, s.handling)


def _fill(con: duckdb.DuckDBPyConnection, table: str, rows: list[tuple[Any, ...]]) -> None:
    """Insert complete rows by one statement: planned row by row they take a hundred times as long."""
    if rows:
        columns = [list(column) for column in zip(*rows, strict=True)]
        values = joined([Sql("unnest(?)")] * len(columns), ", ")
        con.execute(compose("INSERT INTO {table} SELECT {values}", table=table, values=values), columns)


def _take_in(con: duckdb.DuckDBPyConnection, plan: ReleasePlan, record: importer.Import) -> dict[str, Any]:
    """Apply one staged import; returns its counts. `in = kept + duplicate + updated + withdrawn + rejected`."""
    policy, number = plan.policy, plan.number
    source = policy.source(record.source_id)
    path = str(importer.staged_rows(plan.settings, record))
    set_id = scalar(con, "SELECT max(set_id) FROM set_release") + 1
    identity.place(con, path, number)
    stable = record.reader in READERS and READERS[record.reader].stable_ids
    counts = opinions.merge(con, opinions.Delivery(record, source, path, set_id, number, stable))
    for table in ("incoming", "placed", "now_placed", "grp", "said", "said_digest", "folded", "verdict"):
        con.execute(compose("DROP TABLE IF EXISTS temp.{table}", table=table))
    _guard(con, policy, source, counts, record)
    reasons = dict(record.rejected)
    if counts["rejected"]:
        reasons["nothing_to_withdraw"] = counts["rejected"]
    if record.read != sum(counts[s] for s in STATES) + sum(reasons.values()):
        raise ReconciliationError(f"Import {record.key}: the states do not add up to {record.read} rows.")
    row = {
        "set_id": set_id,
        "import_key": record.key,
        "source_id": record.source_id,
        "file_sha256": record.sha256,
        "file_name": record.file_name,
        "reader": record.reader,
        "declared_model": record.version,
        "country": record.country,
        "entity": record.entity,
        "read": record.read,
        **{s: counts[s] for s in STATES},
        "rejected": sum(reasons.values()),
        "rejected_by_reason": canonical_json(reasons),
        "defects": canonical_json(record.defects),
        "absent_withdrawn": counts["absent_withdrawn"],
        "notes": canonical_json({**record.notes, opinions.STATED: record.stated}),
        "loaded_at": record.loaded_at,
        "loaded_by": record.loaded_by,
        "release": number,
    }
    con.execute(*insert("set_release", row))
    return {
        "import": record.key,
        "source": record.source_id,
        "file": record.file_name,
        "read": record.read,
        **{s: counts[s] for s in STATES},
        "rejected_by_reason": reasons,
        "absent_withdrawn": counts["absent_withdrawn"],
    }


def _guard(
    con: duckdb.DuckDBPyConnection,
    policy: sources.HashsetPolicy,
    source: sources.KnownSource,
    counts: dict[str, int],
    record: importer.Import,
) -> None:
    """A truncated full delivery must not withdraw a whole set."""
    gone = counts["absent_withdrawn"]
    if not gone:
        return
    live = scalar(con, "SELECT count(*) FROM opinion WHERE source_id = ? AND valid_to IS NULL", [source.source_id])
    if gone > policy.max_withdrawn_share * (live + gone):
        raise ReconciliationError(
            f"Import {record.key} would withdraw {gone} of {live + gone} entries of {source.source_id}.",
            "If that is right, raise imports.max_withdrawn_share in policy/hashsets.yaml for this import; otherwise "
            "discard it: `triage hashset discard`.",
        )


def _counts(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Rows by table, without canaries."""
    counts = {}
    for table in ("media", "opinion", "set_release", "change", "conflict", *_HASHES):
        real = Sql(" WHERE media_key >= 0") if table in _HASHES else Sql("")
        counts[table] = scalar(con, compose("SELECT count(*) FROM {table}{real}", table=table, real=real))
    return counts


def _verify(settings: Settings, database: Path, counts: dict[str, int]) -> None:
    """Open the finished database as a reader does and check counts, keys and canaries. Raises ReconciliationError."""
    con = connect_read_only(database, settings)
    try:
        if _counts(con) != counts:
            raise ReconciliationError("The built release does not hold the rows that were written.")
        last = scalar(con, "SELECT max(media_key) FROM media")
        checks = [*_CHECKS, *(check for table, check in _STRAY.items() if counts[table])]
        for low in range(1, last + 1, grading.SLICE):  # in slices: a reading connection cannot spill to disk
            for sql, what in checks:
                if wrong := scalar(con, sql, {"low": low, "high": low + grading.SLICE}):
                    raise ReconciliationError(f"The built release is not sound: {wrong} {what}.")
        stray = each("SELECT media_key FROM {name} WHERE media_key > $last", ("opinion", *_HASHES), " UNION ALL ")
        if wrong := scalar(con, compose("SELECT count(*) FROM ({stray})", stray=stray), {"last": last}):
            raise ReconciliationError(f"The built release is not sound: {wrong} rows are about no media.")
        for algorithm in ALL:
            publishing.check_canaries(con, algorithm)
    finally:
        con.close()


_SLICE = Sql("media_key >= $low AND media_key < $high")
_MEDIA = compose("(SELECT media_key FROM media WHERE {slice})", slice=_SLICE)

_CHECKS = (
    (
        compose("SELECT count(*) - count(DISTINCT media_key) FROM media WHERE {slice}", slice=_SLICE),
        "media keys are repeated",
    ),
    (compose("SELECT count(*) FROM media WHERE grade IS NULL AND {slice}", slice=_SLICE), "media have no grade"),
    (
        compose(
            "SELECT count(*) FROM opinion ANTI JOIN {media} USING (media_key) WHERE {slice}", media=_MEDIA, slice=_SLICE
        ),
        "opinions have no media",
    ),
    (
        compose("SELECT count(*) FROM opinion ANTI JOIN source USING (source_id) WHERE {slice}", slice=_SLICE),
        "opinions have no source",
    ),
    (
        compose(
            """SELECT count(*) FROM (SELECT 1 FROM opinion WHERE valid_to IS NULL AND {slice}
            GROUP BY source_id, member, media_key HAVING count(*) > 1)""",
            slice=_SLICE,
        ),
        "opinions of one source stand twice",
    ),
)
"""What must be 0 for the media with $low <= media_key < $high."""

_STRAY = {
    a.table: (
        compose(
            "SELECT count(*) FROM {table} ANTI JOIN {media} USING (media_key) WHERE {slice}",
            table=a.table,
            media=_MEDIA,
            slice=_SLICE,
        ),
        f"{a.name} values have no media",
    )
    for a in ALL
}
"""The same for each table of hashes; one that holds only canaries has none that could be wrong."""
