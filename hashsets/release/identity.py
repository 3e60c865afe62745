"""Which media item each staged row is about.

Two entries are the same media if they share a digest and no digest that both have differs. Rows are placed by their
strongest digest, strongest algorithm first, so that a row with MD5 alone meets the media that an MD5 and SHA-1 row
has just made. A row that shares a digest with a media but contradicts it becomes a media of its own: both are found
by that digest, and the pair is listed as an identity conflict. Nothing is ever merged after the fact.

Rows with perceptual hashes only are a media of their own per hash value: several files share one PDQ hash.
"""

from __future__ import annotations

import duckdb

from hashsets.algorithms import ALL, DIGESTS, StoredHash
from hashsets.release.tables import equal, scalar
from pipeline.sql import Sql, compose, each, joined

_WORDS = [c for a in ALL for c in a.columns]


def place(con: duckdb.DuckDBPyConnection, rows_path: str, release: int) -> None:
    """Fill the temporary table `placed` (position, media_key) for every asserting row; add new media and hashes.

    `incoming` is left as a temporary table (position, withdraw, all hash columns).
    """
    con.execute("DROP TABLE IF EXISTS incoming")
    con.execute("DROP TABLE IF EXISTS placed")
    con.execute(
        compose(
            """CREATE TEMP TABLE incoming AS
            SELECT position, coalesce(withdraw, false) AS withdraw, {words}, {opaque}
            FROM read_parquet(?)""",
            words=_WORDS,
            opaque=[a.name for a in ALL if a.opaque],
        ),
        [rows_path],
    )
    con.execute("CREATE TEMP TABLE placed (position BIGINT, media_key BIGINT)")
    counts = each("count({name})", [a.columns[0] for a in ALL])
    (values,) = con.execute(compose("SELECT {counts} FROM incoming WHERE NOT withdraw", counts=counts)).fetchall()
    present = [a for a, count in zip(ALL, values, strict=True) if count]
    for key in present:
        _phase(con, key, present, release)


def _phase(con: duckdb.DuckDBPyConnection, key: StoredHash, present: list[StoredHash], release: int) -> None:
    """Place the rows whose strongest hash is `key`, of the algorithms that any row has, strongest first."""
    stronger = present[: present.index(key)]
    weaker = [a for a in present if a in DIGESTS and a not in (*stronger, key)] if key.digest else []
    where, there = (_strongest(key, stronger, alias) for alias in ("", "i."))
    keys = key.columns
    others = [c for a in weaker for c in a.columns]
    # Groups: rows with the same key. Where their weaker digests differ, each combination is a group of its own.
    differ = each("min({name}) <> max({name})", others, " OR ") or Sql("false")
    con.execute(
        compose(
            """CREATE OR REPLACE TEMP TABLE grp AS
            SELECT {keys}, min(position) AS first, {differ} AS mixed
                   {least}
            FROM incoming WHERE NOT withdraw AND {where} GROUP BY {keys}""",
            keys=keys,
            differ=differ,
            least=each(", min({name}) AS {name}", others, ""),
            where=where,
        )
    )
    if others and scalar(con, "SELECT count(*) FROM grp WHERE mixed"):
        con.execute(
            compose(
                """INSERT INTO grp ({keys}, first, mixed, {columns})
                SELECT {own_keys}, min(i.position), true, {own_others}
                FROM incoming i JOIN grp g ON {same} AND g.mixed
                WHERE NOT i.withdraw AND {there}
                GROUP BY ALL""",
                keys=keys,
                columns=others,
                own_keys=each("i.{name}", keys),
                own_others=each("i.{name}", others),
                same=equal("i", "g", key),
                there=there,
            )
        )
        # the summary row of a mixed group had the least first position of all its combinations: it goes
        con.execute(
            compose(
                """DELETE FROM grp WHERE mixed AND rowid IN (
                    SELECT min(rowid) FROM grp WHERE mixed GROUP BY {keys})""",
                keys=keys,
            )
        )
    con.execute("ALTER TABLE grp ADD COLUMN media_key BIGINT")
    for algorithm in (key, *weaker):
        _known(con, algorithm, key, [key, *weaker])
    _new_media(con, key, release)
    alike = [compose("(NOT g.mixed OR i.{c} IS NOT DISTINCT FROM g.{c})", c=c) for c in others]
    same = joined([equal("i", "g", key), *alike], " AND ")
    con.execute(
        compose(
            """CREATE OR REPLACE TEMP TABLE now_placed AS
            SELECT i.position, g.media_key FROM incoming i JOIN grp g ON {same}
            WHERE NOT i.withdraw AND {there}""",
            same=same,
            there=there,
        )
    )
    con.execute("INSERT INTO placed SELECT * FROM now_placed")
    for algorithm in present:
        _add_hashes(con, algorithm, release)


def _strongest(key: StoredHash, stronger: list[StoredHash], alias: str) -> Sql:
    """The condition that a row (of that alias, `i.` or none) has the key and no stronger hash."""
    has = compose("{first} IS NOT NULL", first=alias + key.columns[0])
    return joined([has, *(compose("{first} IS NULL", first=alias + a.columns[0]) for a in stronger)], " AND ")


def _known(con: duckdb.DuckDBPyConnection, by: StoredHash, key: StoredHash, held: list[StoredHash]) -> None:
    """Groups without a media yet take one that the store knows by this digest and that contradicts none of theirs.

    Where several groups would take the same media through a weaker digest, the first one does.
    """
    anonymous = Sql("" if key.digest else "AND NOT m.has_digest")
    agree = joined(
        [
            compose(
                """ AND NOT EXISTS (SELECT 1 FROM {table} x WHERE x.media_key = c.media_key
                             AND g.{first} IS NOT NULL AND NOT ({same}))""",
                table=a.table,
                first=a.columns[0],
                same=equal("x", "g", a),
            )
            for a in held
            if key.digest
        ],
        "",
    )
    con.execute(
        compose(
            """CREATE OR REPLACE TEMP TABLE candidate AS
            SELECT g.rowid AS grp_row, h.media_key FROM grp g JOIN {table} h ON {same}
            JOIN media m ON m.media_key = h.media_key {anonymous}
            WHERE g.media_key IS NULL""",
            table=by.table,
            same=equal("h", "g", by),
            anonymous=anonymous,
        )
    )
    if not scalar(con, "SELECT count(*) FROM candidate"):
        return
    con.execute(
        compose(
            """CREATE OR REPLACE TEMP TABLE chosen AS
            WITH fit AS (
                SELECT c.grp_row, min(c.media_key) AS media_key, any_value(g.first) AS first
                FROM candidate c JOIN grp g ON g.rowid = c.grp_row WHERE true {agree} GROUP BY c.grp_row)
            SELECT grp_row, media_key FROM fit f
            WHERE NOT EXISTS (SELECT 1 FROM grp o WHERE o.media_key = f.media_key)
            QUALIFY row_number() OVER (PARTITION BY media_key ORDER BY first) = 1""",
            agree=agree,
        )
    )
    con.execute("UPDATE grp SET media_key = chosen.media_key FROM chosen WHERE grp.rowid = chosen.grp_row")


def _new_media(con: duckdb.DuckDBPyConnection, key: StoredHash, release: int) -> None:
    """Groups that no media of the store fits become new media, numbered in the order of their first row."""
    base = scalar(con, "SELECT coalesce(max(media_key), 0) FROM media")
    con.execute(
        """CREATE OR REPLACE TEMP TABLE fresh AS
           SELECT rowid AS grp_row, ? + row_number() OVER (ORDER BY first) AS media_key
           FROM grp WHERE media_key IS NULL""",
        [base],
    )
    con.execute("UPDATE grp SET media_key = fresh.media_key FROM fresh WHERE grp.rowid = fresh.grp_row")
    con.execute(
        "INSERT INTO media (media_key, first_release, has_digest) SELECT media_key, ?, ? FROM fresh ORDER BY media_key",
        [release, key.digest],
    )


def _add_hashes(con: duckdb.DuckDBPyConnection, algorithm: StoredHash, release: int) -> None:
    """Hashes of the placed rows that their media does not have yet, sorted, so that single look-ups read little."""
    columns = [*algorithm.columns, *([algorithm.name] if algorithm.opaque else [])]
    same = each("h.{name} = n.{name}", ("media_key", *algorithm.columns), " AND ")
    con.execute(
        compose(
            """INSERT INTO {table} (media_key, release, {columns})
            SELECT n.media_key, ?, {columns} FROM (
                SELECT DISTINCT p.media_key, {columns}
                FROM incoming i JOIN now_placed p USING (position) WHERE i.{first} IS NOT NULL) n
            WHERE NOT EXISTS (SELECT 1 FROM {table} h WHERE {same})
            ORDER BY {first}""",
            table=algorithm.table,
            columns=columns,
            first=algorithm.columns[0],
            same=same,
        ),
        [release],
    )
