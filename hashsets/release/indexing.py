"""The matching indexes of a release: built from the store, or extended from the release before.

Indexed are the perceptual hashes of media that an enabled alert source holds; a media that only benign sets know is
not. A change adds a segment and tombstones; when dead or small segments pile up, the index is written anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hashsets.algorithms import ALL, StoredHash
from hashsets.release.releases import Release
from hashsets.release.tables import scalar
from hashsets.words import from_words
from pipeline.errors import ReconciliationError
from pipeline.matching import core
from pipeline.matching.core.index.manifest import Array
from pipeline.sql import Sql, compose, each

BATCH = 1 << 18
MAX_SEGMENTS = 12
"""Segments beyond which an index is written anew: each costs a query one more visit."""

_INDEXED = Sql("grade NOT IN ('BENIGN', 'WITHDRAWN')")


def _batches(con: duckdb.DuckDBPyConnection, algorithm: StoredHash, where: Sql) -> Iterator[tuple[Any, Any]]:
    """(media keys int64 (n,), hashes uint8 (n, width)) of the rows of the algorithm's table that fulfil `where`."""
    columns = each("h.{name}", algorithm.columns)
    cursor = con.cursor()
    try:
        reader = cursor.sql(
            compose(
                """SELECT h.media_key, {columns} FROM {table} h JOIN media m USING (media_key)
                WHERE {where} ORDER BY h.media_key, {columns}""",
                columns=columns,
                table=algorithm.table,
                where=where,
            )
        ).to_arrow_reader(BATCH)
        for batch in reader:
            yield batch.column(0).to_numpy(zero_copy_only=False).astype(np.int64), _values(algorithm, batch)
    finally:
        cursor.close()


def _values(algorithm: StoredHash, batch: pa.RecordBatch) -> NDArray[np.uint8]:
    words = [batch.column(i + 1).to_numpy(zero_copy_only=False).astype(np.uint64) for i in range(algorithm.words)]
    return from_words(algorithm, words) if batch.num_rows else np.zeros((0, algorithm.width), np.uint8)


def build(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    previous: Release | None,
    release: int,
    versions: dict[str, str],
) -> dict[str, int]:
    """Write index/<algorithm>/ for every perceptual algorithm with hashes; returns rows by algorithm.

    `previous` is the release before, whose segments are shared by hard links where possible. The change table
    says what to add and to withdraw.
    """
    rows: dict[str, int] = {}
    for algorithm in (a for a in ALL if a.indexed):
        if not scalar(con, compose("SELECT count(*) FROM {table} WHERE media_key >= 0", table=algorithm.table)):
            continue
        target = folder / "index" / algorithm.name
        old = previous.folder / "index" / algorithm.name if previous is not None else None
        same = versions[algorithm.name] == (
            previous.manifest["hasher_versions"].get(algorithm.name) if previous else None
        )
        if old is None or not old.is_dir() or not same or _segments(old) >= MAX_SEGMENTS:
            _anew(con, target, algorithm, release, versions[algorithm.name])
        else:
            _extend(con, old, target, algorithm, release)
        rows[algorithm.name] = core.open_index(target).manifest.rows
        expected = scalar(
            con,
            compose(
                "SELECT count(*) FROM {table} h JOIN media m USING (media_key) WHERE {indexed}",
                table=algorithm.table,
                indexed=_INDEXED,
            ),
        )
        if rows[algorithm.name] != expected:
            raise ReconciliationError(
                f"The index of {algorithm.name} holds {rows[algorithm.name]} hashes, the store {expected}.",
                "The release was not built.",
            )
    return rows


def written(folder: Path) -> dict[str, Array]:
    """Every array of the indexes of a release, with the SHA-256 made when it was written, by its path in the release."""
    return {
        f"index/{index.name}/{place}": array
        for index in sorted((folder / "index").glob("*"))
        for place, array in core.open_index(index).manifest.listed()
    }


def _segments(folder: Path) -> int:
    return len(core.open_index(folder).manifest.segments)


def _anew(con: duckdb.DuckDBPyConnection, target: Path, algorithm: StoredHash, release: int, version: str) -> None:
    core.build_index(
        _batches(con, algorithm, _INDEXED),
        target,
        algorithm=algorithm.name,
        hasher_version=version,
        release=str(release),
    )


def _extend(con: duckdb.DuckDBPyConnection, old: Path, target: Path, algorithm: StoredHash, release: int) -> None:
    """Withdraw what no longer stands and whatever changed its hashes; add what stands now and is not in the old index."""
    reindex = compose(
        """(SELECT media_key FROM media WHERE first_release = {release}
                   UNION SELECT media_key FROM change WHERE release = {release})""",
        release=release,
    )
    gone = con.sql(
        compose(
            "SELECT DISTINCT media_key FROM {table} WHERE media_key >= 0 AND media_key IN {reindex}",
            table=algorithm.table,
            reindex=reindex,
        )
    ).to_arrow_table()
    core.extend_index(
        old,
        target,
        _batches(con, algorithm, compose("{indexed} AND h.media_key IN {reindex}", indexed=_INDEXED, reindex=reindex)),
        gone.column("media_key").to_numpy(),
        release=str(release),
    )


def store_batches(con: duckdb.DuckDBPyConnection, algorithm: str) -> Iterator[tuple[Any, Any]]:
    """What the index of one perceptual algorithm holds, from an open release: batches for `core.build_index`."""
    return _batches(con, next(a for a in ALL if a.indexed and a.name == algorithm), _INDEXED)
