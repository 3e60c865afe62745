# ruff: noqa: S608 - statements are put together from names in hashsets/algorithms.py; values are bound parameters
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

_WORDS = [c for a in ALL for c in a.columns]


def place(con: duckdb.DuckDBPyConnection, rows_path: str, release: int) -> None:
    """Fill the temporary table `placed` (position, media_key) for every asserting row; add new media and hashes.

    `incoming` is left as a temporary table (position, withdraw, all hash columns).
    """
    con.execute("DROP TABLE IF EXISTS incoming")
    con.execute("DROP TABLE IF EXISTS placed")
    opaque = ", ".join(a.name for a in ALL if a.opaque)
    con.execute(
        f"""CREATE TEMP TABLE incoming AS
            SELECT position, coalesce(withdraw, false) AS withdraw, {", ".join(_WORDS)}, {opaque}
            FROM read_parquet(?)""",
        [rows_path],
    )
    con.execute("CREATE TEMP TABLE placed (position BIGINT, media_key BIGINT)")
    present = {a.name for a in ALL if scalar(con, f"SELECT count({a.columns[0]}) FROM incoming WHERE NOT withdraw")}
    for strength, algorithm in enumerate(ALL):
        if algorithm.name in present:
            stronger = [a for a in ALL[:strength] if a.name in present]
            weaker = [a for a in DIGESTS if ALL.index(a) > strength and a.name in present] if algorithm.digest else []
            _phase(con, algorithm, stronger, weaker, release)


def _phase(
    con: duckdb.DuckDBPyConnection, key: StoredHash, stronger: list[StoredHash], weaker: list[StoredHash], release: int
) -> None:
    """Place the rows whose strongest hash is `key`."""
    where = " AND ".join([f"{key.columns[0]} IS NOT NULL", *(f"{a.columns[0]} IS NULL" for a in stronger)])
    keys = ", ".join(key.columns)
    others = [c for a in weaker for c in a.columns]
    # Groups: rows with the same key. Where their weaker digests differ, each combination is a group of its own.
    differ = " OR ".join(f"min({c}) <> max({c})" for c in others) or "false"
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE grp AS
            SELECT {keys}, min(position) AS first, {differ} AS mixed
                   {"".join(f", min({c}) AS {c}" for c in others)}
            FROM incoming WHERE NOT withdraw AND {where} GROUP BY {keys}"""
    )
    if others and scalar(con, "SELECT count(*) FROM grp WHERE mixed"):
        columns = ", ".join(others)
        con.execute(
            f"""INSERT INTO grp ({keys}, first, mixed, {columns})
                SELECT {", ".join("i." + c for c in key.columns)}, min(i.position), true, {", ".join("i." + c for c in others)}
                FROM incoming i JOIN grp g ON {equal("i", "g", key)} AND g.mixed
                WHERE NOT i.withdraw AND {where.replace(key.columns[0], "i." + key.columns[0], 1)}
                GROUP BY ALL"""
        )
        # the summary row of a mixed group had the least first position of all its combinations: it goes
        con.execute(
            f"""DELETE FROM grp WHERE mixed AND rowid IN (
                    SELECT min(rowid) FROM grp WHERE mixed GROUP BY {keys})"""
        )
    con.execute("ALTER TABLE grp ADD COLUMN media_key BIGINT")
    for algorithm in (key, *weaker):
        _known(con, algorithm, key, [key, *weaker])
    _new_media(con, key, release)
    same = " AND ".join([equal("i", "g", key), *(f"(NOT g.mixed OR i.{c} IS NOT DISTINCT FROM g.{c})" for c in others)])
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE now_placed AS
            SELECT i.position, g.media_key FROM incoming i JOIN grp g ON {same}
            WHERE NOT i.withdraw AND {_qualified(where, "i")}"""
    )
    con.execute("INSERT INTO placed SELECT * FROM now_placed")
    for algorithm in ALL:
        _add_hashes(con, algorithm, release)


def _qualified(where: str, alias: str) -> str:
    return " AND ".join(f"{alias}.{term}" for term in where.split(" AND "))


def _known(con: duckdb.DuckDBPyConnection, by: StoredHash, key: StoredHash, held: list[StoredHash]) -> None:
    """Groups without a media yet take one that the store knows by this digest and that contradicts none of theirs.

    Where several groups would take the same media through a weaker digest, the first one does.
    """
    anonymous = "" if key.digest else "AND NOT m.has_digest"
    agree = "".join(
        f""" AND NOT EXISTS (SELECT 1 FROM {a.table} x WHERE x.media_key = c.media_key
                             AND g.{a.columns[0]} IS NOT NULL AND NOT ({equal("x", "g", a)}))"""
        for a in held
        if key.digest
    )
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE candidate AS
            SELECT g.rowid AS grp_row, h.media_key FROM grp g JOIN {by.table} h ON {equal("h", "g", by)}
            JOIN media m ON m.media_key = h.media_key {anonymous}
            WHERE g.media_key IS NULL"""
    )
    if not scalar(con, "SELECT count(*) FROM candidate"):
        return
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE chosen AS
            WITH fit AS (
                SELECT c.grp_row, min(c.media_key) AS media_key, any_value(g.first) AS first
                FROM candidate c JOIN grp g ON g.rowid = c.grp_row WHERE true {agree} GROUP BY c.grp_row)
            SELECT grp_row, media_key FROM fit f
            WHERE NOT EXISTS (SELECT 1 FROM grp o WHERE o.media_key = f.media_key)
            QUALIFY row_number() OVER (PARTITION BY media_key ORDER BY first) = 1"""
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
    columns = ", ".join([*algorithm.columns, *([algorithm.name] if algorithm.opaque else [])])
    same = " AND ".join(f"h.{c} = n.{c}" for c in ("media_key", *algorithm.columns))
    con.execute(
        f"""INSERT INTO {algorithm.table} (media_key, release, {columns})
            SELECT n.media_key, ?, {columns} FROM (
                SELECT DISTINCT p.media_key, {columns}
                FROM incoming i JOIN now_placed p USING (position) WHERE i.{algorithm.columns[0]} IS NOT NULL) n
            WHERE NOT EXISTS (SELECT 1 FROM {algorithm.table} h WHERE {same})
            ORDER BY {algorithm.columns[0]}""",
        [release],
    )
