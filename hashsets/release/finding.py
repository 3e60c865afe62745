"""Values and media keys that are asked of a release, found in its tables: the statements, and a few asked without Arrow.

Arrow and NumPy take longer to load than a store takes to answer for one hash. `asked.py` asks thousands to millions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import duckdb

from hashsets.algorithms import BY_NAME, StoredHash
from hashsets.release import canaries, grading
from hashsets.release.tables import equal
from pipeline.errors import UsageError
from pipeline.sql import Sql, compose, each, joined, literal, marks

FEW = 100
"""Values of one question up to which it is asked without Arrow. Above, the table of the question is made faster by it."""


def algorithm_named(name: str) -> StoredHash:
    """The algorithm of that name. Raises UsageError."""
    if name not in BY_NAME:
        raise UsageError(f"{name!r} is no hash algorithm of the store.", f"Known: {', '.join(BY_NAME)}.")
    return BY_NAME[name]


def equal_values(con: duckdb.DuckDBPyConnection, algorithm: StoredHash, *, withdrawn: bool) -> duckdb.DuckDBPyRelation:
    """The rows query_id, media_key, algorithm of the values in `asked` (query_id and the algorithm's columns)."""
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
    return con.sql(
        compose(
            """SELECT f.query_id, f.media_key, {name} AS algorithm
            FROM found f LEFT JOIN media m ON m.media_key = f.media_key {standing}""",
            name=literal(algorithm.name),
            standing=standing,
        )
    )


def standing(con: duckdb.DuckDBPyConnection, trusted_votes: int) -> duckdb.DuckDBPyRelation:
    """The rows of `Release.describe` of the media keys in `asked`, in their order."""
    con.execute(
        "CREATE TEMP TABLE keys AS SELECT m.media_key FROM media m SEMI JOIN asked a ON a.media_key = m.media_key"
    )
    sql = grading.standing_sql("keys", trusted_votes)
    return con.sql(compose("SELECT * FROM ({sql}) ORDER BY media_key", sql=sql))


def stored(con: duckdb.DuckDBPyConnection, algorithm: StoredHash) -> duckdb.DuckDBPyRelation:
    """The rows media_key and the algorithm's columns of the media keys in `asked`, as `Release.hashes` orders them."""
    return con.sql(
        compose(
            """SELECT media_key, {columns} FROM {table} SEMI JOIN asked USING (media_key)
            ORDER BY media_key, {first}""",
            columns=[*algorithm.columns, *([algorithm.name] if algorithm.opaque else [])],
            table=algorithm.table,
            first=algorithm.columns[0],
        )
    )


def exact_few(con: duckdb.DuckDBPyConnection, queries: Sequence[tuple[int, str, bytes]]) -> list[tuple[int, str, int]]:
    """See `Release.exact_few`."""
    if any(number < 0 for number, _, _ in queries):
        raise UsageError("Query ids are zero or more.")
    found: list[tuple[int, str, int]] = []
    for name in sorted({name for _, name, _ in queries}):
        algorithm = algorithm_named(name)
        asked = [(number, value) for number, named, value in queries if named == name]
        _ask(con, algorithm, [*asked, *zip(canaries.KEYS, canaries.values(algorithm), strict=True)])
        rows = equal_values(con, algorithm, withdrawn=False).fetchall()
        canaries.check(algorithm, [(query, key) for query, key, _ in rows if key < 0])
        found += [(query, algorithm.name, key) for query, key, _ in rows if key >= 0 and query >= 0]
    return sorted(found)


def _ask(con: duckdb.DuckDBPyConnection, algorithm: StoredHash, asked: Sequence[tuple[int, bytes]]) -> None:
    """Make `asked` of values that are not opaque. Raises UsageError for one of another width."""
    wrong = {len(value) for _, value in asked} - {algorithm.width}
    if wrong:
        raise UsageError(f"A {algorithm.name} value has {algorithm.width} bytes, not {sorted(wrong)}.")
    con.execute(
        compose(
            "CREATE OR REPLACE TEMP TABLE asked (query_id BIGINT, {words})",
            words=each("{name} UBIGINT", algorithm.columns),
        )
    )
    row = compose("({marks})", marks=marks(1 + algorithm.words))
    con.execute(
        compose("INSERT INTO asked VALUES {rows}", rows=joined([row] * len(asked), ", ")),
        [part for number, value in asked for part in (number, *_words(value))],
    )


def _words(value: bytes) -> list[int]:
    """As `words.to_words`, of one value that is not opaque."""
    return [int.from_bytes(value[at : at + 8]) for at in range(0, len(value), 8)]


def _ask_keys(con: duckdb.DuckDBPyConnection, media_keys: Iterable[int]) -> None:
    con.execute("CREATE TEMP TABLE asked AS SELECT DISTINCT unnest(?::BIGINT[]) AS media_key", [list(media_keys)])


def hashes_few(con: duckdb.DuckDBPyConnection, algorithm: str, media_keys: Iterable[int]) -> dict[int, list[bytes]]:
    """See `Release.hashes_few`."""
    kind = algorithm_named(algorithm)
    _ask_keys(con, media_keys)
    found: dict[int, list[bytes]] = {}
    for key, *words in stored(con, kind).fetchall():
        found.setdefault(key, []).append(bytes(words[-1]) if kind.opaque else _value(kind, words))
    return found


def _value(algorithm: StoredHash, words: Sequence[int]) -> bytes:
    """The inverse of `_words`."""
    return b"".join(word.to_bytes(min(8, algorithm.width - 8 * i)) for i, word in enumerate(words))


def describe_few(con: duckdb.DuckDBPyConnection, media_keys: Iterable[int], trusted_votes: int) -> list[dict[str, Any]]:
    """See `Release.describe`."""
    _ask_keys(con, media_keys)
    rows = standing(con, trusted_votes)
    return [dict(zip(rows.columns, row, strict=True)) for row in rows.fetchall()]
