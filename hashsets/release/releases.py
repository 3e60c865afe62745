"""Known-hash releases: open the current or an old one, look hashes up, describe media, say what changed.

    releases/<number>/hashsets.duckdb, index/<algorithm>/, manifest.json
    releases/<number>.json     seal: SHA-256 of the manifest, written when the release is published
    releases/CURRENT           pointer: number and manifest SHA-256

A reader holds the release it opened; publishing another one does not touch it. Each answer can be repeated from
the same release for as long as it is kept.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hashsets.algorithms import ALL, BY_NAME, StoredHash, from_words, to_words
from hashsets.release import canaries, grading, manifest
from hashsets.release.tables import connect_read_only, equal
from pipeline import files
from pipeline.errors import IntegrityError, UsageError
from pipeline.settings import Settings
from pipeline.sql import Sql, compose, literal

POINTER = "CURRENT"
DATABASE = "hashsets.duckdb"

EXACT = pa.schema([("query_id", pa.int64()), ("media_key", pa.int64()), ("algorithm", pa.string())])


@dataclass(frozen=True)
class Pointer:
    """Which release is current, and the SHA-256 (hex) of its manifest."""

    number: int
    manifest_sha256: str


def pointer(settings: Settings) -> Pointer | None:
    """The published pointer, or None when nothing was published yet. Raises IntegrityError when it is damaged."""
    return _read_pointer(settings.releases_dir / POINTER)


def _read_pointer(path: Path) -> Pointer | None:
    try:
        raw = path.read_bytes()
        data = json.loads(raw)
        found = Pointer(int(data["release"]), str(data["manifest_sha256"]))
        if raw != files.json_bytes({"release": found.number, "manifest_sha256": found.manifest_sha256}):
            raise ValueError("not as it was written")
        return found
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"{path.name} in the releases folder is damaged.", "`triage hashset publish` writes it anew."
        ) from error


def exists(settings: Settings) -> bool:
    """Whether a release was ever published."""
    return pointer(settings) is not None


def current(settings: Settings) -> Release:
    """The published release, verified. Raises UsageError when there is none, IntegrityError when it is damaged."""
    found = pointer(settings)
    if found is None:
        raise UsageError("There is no known-hash release yet.", "Import a hash set: `triage hashset import`.")
    return opened(settings, found)


def open_release(settings: Settings, number: int) -> Release:
    """A release that was published and is kept, verified. Raises UsageError if it is not there, IntegrityError if damaged."""
    found = _read_pointer(settings.releases_dir / f"{number}.json")
    newest = pointer(settings)
    if found is None or newest is None or number > newest.number or not (settings.releases_dir / str(number)).is_dir():
        raise UsageError(f"Release {number} is not kept here.", "`triage hashset releases` lists those that are.")
    if found.number != number:
        raise IntegrityError(f"The seal of release {number} names another one.", "Restore it from a backup.")
    return opened(settings, found)


def opened(settings: Settings, found: Pointer) -> Release:
    """The release of that number and manifest, verified. Raises IntegrityError when it is not what the pointer says."""
    folder = settings.releases_dir / str(found.number)
    content = manifest.verified(folder, found.manifest_sha256, settings.thread_count)
    if content.get("release") != found.number:
        raise IntegrityError(f"Release {found.number} holds another release.", "Restore it from a backup.")
    return Release(settings, found.number, folder, content)


@dataclass(frozen=True)
class Release:
    """One verified release. `manifest` has its counts, SHA-256 of every file, and versions."""

    settings: Settings
    number: int
    folder: Path
    manifest: dict[str, Any]

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A read-only, locked connection to its tables. The caller closes it."""
        return connect_read_only(self.folder / DATABASE, self.settings)

    def index_dir(self, algorithm: str) -> Path:
        """Folder of the matching index. Raises UsageError when the release has none for `algorithm`."""
        folder = self.folder / "index" / algorithm
        if not folder.is_dir():
            have = ", ".join(self.indexes) or "none"
            raise UsageError(f"Release {self.number} has no index for {algorithm}.", f"It has: {have}.")
        return folder

    @property
    def indexes(self) -> list[str]:
        """Algorithms that have a matching index."""
        return sorted(self.manifest["indexes"])

    def hasher_version(self, algorithm: str) -> str:
        """Version of the hashing rules that the index of `algorithm` was built for."""
        return str(self.manifest["hasher_versions"][algorithm_named(algorithm).name])

    def exact(self, queries: pa.Table, *, among: Any = None, withdrawn: bool = False) -> pa.Table:
        """Media that hold the queried values (`among`: only these media keys).

        `queries`: query_id int64 (>= 0), algorithm string, value binary of the algorithm's width. Returns query_id,
        media_key, algorithm, ordered. Withdrawn media only with `withdrawn`. Canaries are asked along and never
        returned. Raises UsageError for an unknown algorithm or a value of the wrong width, CanaryError when the
        store misses what it must find.
        """
        con = self.connect()
        try:
            parts = [_exact_one(con, BY_NAME[name], chosen, withdrawn) for name, chosen in _by_algorithm(queries)]
        finally:
            con.close()
        found = pa.concat_tables([EXACT.empty_table(), *parts])
        if among is not None:
            found = found.filter(pc.is_in(found.column("media_key"), value_set=_keys(among)))
        return found.sort_by([("query_id", "ascending"), ("algorithm", "ascending"), ("media_key", "ascending")])

    def describe(self, media_keys: Any) -> pa.Table:
        """Standing of media: grade, category, votes, sources, raw_categories, victim_identified, offender_identified,
        distributed (yes, no, unknown, disputed), series, tags, alert, benign. One row per distinct key that exists,
        ordered by media_key.
        """
        keys = pa.table({"media_key": _keys(media_keys).unique()})
        con = self.connect()
        try:
            con.register("asked", keys)
            con.execute(
                "CREATE TEMP TABLE keys AS SELECT m.media_key FROM media m SEMI JOIN asked a ON a.media_key = m.media_key"
            )
            sql = grading.standing_sql("keys", int(self.manifest["trusted_votes"]))
            return con.sql(compose("SELECT * FROM ({sql}) ORDER BY media_key", sql=sql)).to_arrow_table()
        finally:
            con.close()

    def delta(self, since: int) -> pa.Table:
        """What changed after release `since` (0: everything): media_key, change (new, withdrawn, regraded), alert,
        grade, category, grade_before; one row per media, ordered.

        `new` is a media that matches now and did not, or has gained a hash; what came and went in between is absent.
        """
        con = self.connect()
        try:
            return con.sql(_DELTA, params={"since": since}).to_arrow_table()
        finally:
            con.close()

    def hashes(self, algorithm: str, media_keys: Any) -> pa.Table:
        """All values of an algorithm of the given media: media_key int64, value binary; ordered by media_key, value."""
        kind = algorithm_named(algorithm)
        con = self.connect()
        try:
            con.register("asked", pa.table({"media_key": _keys(media_keys).unique()}))
            columns = [*kind.columns, *([kind.name] if kind.opaque else [])]
            rows = con.sql(
                compose(
                    """SELECT media_key, {columns} FROM {table} SEMI JOIN asked USING (media_key)
                    ORDER BY media_key, {first}""",
                    columns=columns,
                    table=kind.table,
                    first=kind.columns[0],
                )
            ).to_arrow_table()
        finally:
            con.close()
        return pa.table({"media_key": rows.column("media_key"), "value": values_of(kind, rows)})


def _keys(media_keys: Any) -> pa.Array:
    """Media keys given as a list, an array or a chunked array."""
    if isinstance(media_keys, pa.ChunkedArray):
        return pa.concat_arrays([pa.array([], pa.int64()), *(c.cast(pa.int64()) for c in media_keys.chunks)])
    return media_keys.cast(pa.int64()) if isinstance(media_keys, pa.Array) else pa.array(media_keys, pa.int64())


_DELTA = """
    WITH touched AS (
        SELECT media_key, arg_min(grade_before, release) AS grade_before, bool_or(change = 'new') AS gained
        FROM change WHERE release > $since GROUP BY media_key),
    every AS (
        SELECT m.*, t.grade_before, coalesce(t.gained, false) AS gained, m.first_release > $since AS fresh
        FROM media m LEFT JOIN touched t USING (media_key)
        WHERE (m.first_release > $since OR t.media_key IS NOT NULL) AND m.media_key >= 0)
    SELECT media_key,
           CASE WHEN grade = 'WITHDRAWN' THEN 'withdrawn' WHEN fresh OR gained THEN 'new' ELSE 'regraded' END AS change,
           alert, grade, category, CASE WHEN fresh THEN NULL ELSE grade_before END AS grade_before
    FROM every
    WHERE NOT (grade = 'WITHDRAWN' AND (fresh OR grade_before = 'WITHDRAWN'))
    ORDER BY media_key"""


def algorithm_named(name: str) -> StoredHash:
    """The algorithm of that name. Raises UsageError."""
    if name not in BY_NAME:
        raise UsageError(f"{name!r} is no hash algorithm of the store.", f"Known: {', '.join(BY_NAME)}.")
    return BY_NAME[name]


def values_of(algorithm: StoredHash, rows: pa.Table) -> pa.Array:
    """Values as binary from a table that has the algorithm's store columns."""
    if algorithm.opaque:
        return rows.column(algorithm.name).combine_chunks()
    n = rows.num_rows
    words = [rows.column(c).to_numpy().astype(np.uint64) for c in algorithm.columns]
    raw = from_words(algorithm, words) if n else np.zeros((0, algorithm.width), np.uint8)
    fixed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(algorithm.width), n, [None, pa.py_buffer(raw)])
    return fixed.cast(pa.binary())


def query_table(algorithm: StoredHash, query_ids: Any, values: pa.Array) -> pa.Table:
    """query_id and word columns (and bytes, if opaque) of values to be joined. Raises UsageError for a wrong width."""
    lengths = pc.unique(pc.binary_length(values)).to_pylist() if len(values) else [algorithm.width]
    if lengths != [algorithm.width]:
        raise UsageError(f"A {algorithm.name} value has {algorithm.width} bytes, not {lengths}.")
    raw = np.frombuffer(b"".join(values.to_pylist()), np.uint8).reshape(len(values), algorithm.width)
    columns: dict[str, Any] = {"query_id": pa.array(query_ids, pa.int64())}
    for name, words in zip(algorithm.columns, to_words(algorithm, raw), strict=True):
        columns[name] = words
    if algorithm.opaque:
        columns[algorithm.name] = values.cast(pa.binary())
    return pa.table(columns)


def _by_algorithm(queries: pa.Table) -> list[tuple[str, pa.Table]]:
    names = pc.unique(queries.column("algorithm")).to_pylist()
    return [
        (algorithm_named(name).name, queries.filter(pc.equal(queries.column("algorithm"), name)))
        for name in sorted(map(str, names))
    ]


def _exact_one(con: duckdb.DuckDBPyConnection, algorithm: StoredHash, queries: pa.Table, withdrawn: bool) -> pa.Table:
    values = pa.concat_arrays([pa.array([], pa.binary()), *queries.column("value").cast(pa.binary()).chunks])
    ids = queries.column("query_id").to_numpy()
    if len(ids) and int(ids.min()) < 0:
        raise UsageError("Query ids are zero or more.")
    known = canaries.values(algorithm)
    asked = query_table(
        algorithm,
        np.concatenate([ids, canaries.ids()]),
        pa.concat_arrays([values, pa.array(known, pa.binary())]),
    )
    con.register("asked", asked)
    whole = compose(" AND h.{name} = q.{name}", name=algorithm.name) if algorithm.opaque else Sql("")
    standing = Sql("" if withdrawn else "WHERE f.media_key < 0 OR m.grade <> 'WITHDRAWN'")
    # two statements, so that the few found meet the media, and not the whole table: memory stays that of the queries
    con.execute(
        compose(
            """CREATE OR REPLACE TEMP TABLE found AS SELECT DISTINCT q.query_id, h.media_key FROM {table} h
            JOIN asked q ON {same}{whole}""",
            table=algorithm.table,
            same=equal("h", "q", algorithm),
            whole=whole,
        )
    )
    con.unregister("asked")
    found = con.sql(
        compose(
            """SELECT f.query_id, f.media_key, {name} AS algorithm
            FROM found f LEFT JOIN media m ON m.media_key = f.media_key {standing}""",
            name=literal(algorithm.name),
            standing=standing,
        )
    ).to_arrow_table()
    negative = pc.less(found.column("media_key"), 0)
    canaries.check(algorithm, found.filter(negative))
    return found.filter(pc.and_(pc.invert(negative), pc.greater_equal(found.column("query_id"), 0))).cast(EXACT)


def sizes(release: Release) -> dict[str, int]:
    """Rows by hash algorithm, without canaries."""
    return {a.name: int(release.manifest["counts"][a.table]) for a in ALL}
