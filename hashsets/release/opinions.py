"""Opinions: one per source, member and media; each row of a file ends as kept, duplicate, updated or withdrawn.

An opinion is never merged with another source's. Entries of one file about the same media are folded into one
opinion: yes beats no beats unknown, lists are united, everything else is united in `extra`; if they disagree on the
category, the last one stands, marked disputed, and the contradiction is listed for a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb
import orjson
import pyarrow as pa

from hashsets.algorithms import ALL
from hashsets.importing.importer import Import
from hashsets.release.tables import equal, scalar
from hashsets.sources import KnownSource
from pipeline.errors import ReconciliationError
from pipeline.sql import Sql, compose, each, joined

_FLAGS = ("victim_identified", "offender_identified", "distributed", "precategorised", "suspected")
_KEPT = (*_FLAGS, "series", "tags", "size", "mime", "updated", "updated_at", "extra")
_CONTENT = ("raw_category", "votes", "disputed", *_FLAGS, "series", "tags", "size", "mime", "updated", "extra")


def content_sql() -> Sql:
    """SQL of the 64-bit digest over what an opinion says (not over where it was read)."""
    parts = each("coalesce({name}::VARCHAR, chr(1))", _CONTENT)
    return compose("md5_number_lower(concat_ws(chr(31), {parts}))", parts=parts)


STATED = "@stated"
"""Name under which a set's notes in the release hold the sender's date of the file."""


@dataclass(frozen=True)
class Delivery:
    """One staged import on its way into a release."""

    record: Import
    source: KnownSource
    rows: str
    set_id: int
    release: int
    stable_ids: bool

    @property
    def full(self) -> bool:
        """Whether it replaces everything that its source said before."""
        return self.source.delivery == "full" and not self.record.notes.get("withdrawal")


def merge(con: duckdb.DuckDBPyConnection, delivery: Delivery) -> dict[str, int]:
    """Apply the staged rows (placed by `identity.place`) as opinions of the delivery's source.

    Returns counts of kept, duplicate, updated, withdrawn, rejected (withdrawals of what is not there) and
    absent_withdrawn (entries that a full delivery no longer has). Fills the temporary table `touched` (media_key).
    Raises ReconciliationError when they do not add up to the rows accepted.
    """
    con.execute("CREATE TEMP TABLE IF NOT EXISTS touched (media_key BIGINT)")
    record = delivery.record
    _read(con, delivery)
    if delivery.full and _is_overtaken(con, delivery):
        con.execute("DELETE FROM said")
        return {
            "kept": 0,
            "duplicate": record.accepted,
            "updated": 0,
            "withdrawn": 0,
            "rejected": 0,
            "absent_withdrawn": 0,
        }
    stale = _drop_stale(con, delivery) if delivery.stable_ids else 0
    _fold(con)
    counts = _assert_opinions(con, delivery)
    counts["duplicate"] += stale
    counts["withdrawn"], counts["rejected"], already = _withdraw(con, delivery)
    counts["duplicate"] += already
    counts["absent_withdrawn"] = _withdraw_absent(con, delivery) if delivery.full else 0
    states = sum(counts[k] for k in ("kept", "duplicate", "updated", "withdrawn", "rejected"))
    if states != record.accepted:
        raise ReconciliationError(
            f"Import {record.key}: {record.accepted} rows were accepted, but {states} have a state.",
            "The release was not built.",
        )
    return counts


def _read(con: duckdb.DuckDBPyConnection, delivery: Delivery) -> None:
    """The temporary table `said`: one row for each staged row, with its media (null for a withdrawal)."""
    kept = each("r.{name}", _KEPT)
    con.execute("DROP TABLE IF EXISTS said")
    con.execute(
        compose(
            """CREATE TEMP TABLE said AS
            SELECT r.position, p.media_key, coalesce(r.withdraw, false) AS withdraw,
                   coalesce(r.member, '') AS member, r.entry_id, r.category AS raw_category,
                   CAST(coalesce(r.votes, CASE WHEN r.category IS NULL AND ? THEN 0 ELSE ? END) AS INTEGER) AS votes,
                   coalesce(r.disputed, false) AS disputed, {kept}
            FROM read_parquet(?) r LEFT JOIN placed p USING (position)""",
            kept=kept,
        ),
        [delivery.record.reader in {"vics", "exported"}, delivery.source.votes, delivery.rows],
    )


def _is_overtaken(con: duckdb.DuckDBPyConnection, delivery: Delivery) -> bool:
    """Whether a full list of the same source with a later date of the sender was taken in before: what this older one
    names and that one does not was taken off since, so nothing of it stands."""
    if not delivery.record.stated:
        return False
    taken = con.execute("SELECT notes FROM set_release WHERE source_id = ?", [delivery.source.source_id]).fetchall()
    dates = [found for (text,) in taken if (found := orjson.loads(text).get(STATED))]
    mine = datetime.fromisoformat(delivery.record.stated)
    return any(datetime.fromisoformat(found) > mine for found in dates)


def _drop_stale(con: duckdb.DuckDBPyConnection, delivery: Delivery) -> int:
    """Where an entry id is for good, only the newest version of an entry counts: older ones, here, stored or already
    withdrawn, are repeats. Tombstones are remembered, also those of entries that were never seen."""
    source = delivery.source.source_id
    con.execute(
        """CREATE OR REPLACE TEMP TABLE stale AS
           WITH ranked AS (
               SELECT position, row_number() OVER (
                   PARTITION BY member, entry_id ORDER BY updated_at DESC NULLS LAST, position DESC) AS n
               FROM said WHERE entry_id IS NOT NULL)
           SELECT position FROM ranked WHERE n > 1
           UNION
           SELECT s.position FROM said s JOIN opinion o
             ON o.source_id = $source AND o.member = s.member AND o.entry_id = s.entry_id
           WHERE o.updated_at > s.updated_at
           UNION
           SELECT s.position FROM said s JOIN tombstone t
             ON t.source_id = $source AND t.member = s.member AND t.entry_id = s.entry_id
           WHERE t.updated_at >= s.updated_at""",
        {"source": source},
    )
    con.execute("DELETE FROM said WHERE position IN (SELECT position FROM stale)")
    con.execute(
        """INSERT INTO tombstone SELECT ?, member, entry_id, updated_at, ? FROM said
           WHERE withdraw AND entry_id IS NOT NULL""",
        [source, delivery.release],
    )
    return scalar(con, "SELECT count(*) FROM stale")


def _fold(con: duckdb.DuckDBPyConnection) -> None:
    """The temporary table `folded`: one row for each member and media of the file, with how many rows it stands for."""
    con.execute(
        compose(
            """CREATE OR REPLACE TEMP TABLE said_digest AS
            SELECT position, member, media_key, {content} AS content FROM said WHERE NOT withdraw""",
            content=content_sql(),
        )
    )
    con.execute(
        """CREATE OR REPLACE TEMP TABLE many AS
           SELECT member, media_key, count(*) AS n, count(DISTINCT content) AS d
           FROM said_digest GROUP BY ALL HAVING n > 1"""
    )
    con.execute(
        """CREATE OR REPLACE TEMP TABLE folded AS
           SELECT s.*, d.content, 1::BIGINT AS n, 1::BIGINT AS d, false AS contradicts
           FROM said s JOIN said_digest d USING (position)
           ANTI JOIN many m ON m.member = s.member AND m.media_key = s.media_key"""
    )
    if not scalar(con, "SELECT count(*) FROM many"):
        return
    tri = each("bool_or(s.{name}) AS {name}", _FLAGS)
    con.execute(
        compose(
            """CREATE OR REPLACE TEMP TABLE united AS
            SELECT min(s.position) AS position, s.media_key, false AS withdraw, s.member,
                   arg_min(s.entry_id, s.position) AS entry_id,
                   arg_max(s.raw_category, s.position) FILTER (s.raw_category IS NOT NULL) AS raw_category,
                   max(s.votes)::INTEGER AS votes,
                   bool_or(s.disputed) OR count(DISTINCT s.raw_category) > 1 AS disputed, {tri},
                   list_distinct(flatten(list(s.series ORDER BY s.position) FILTER (s.series IS NOT NULL))) AS series,
                   list_distinct(flatten(list(s.tags ORDER BY s.position) FILTER (s.tags IS NOT NULL))) AS tags,
                   arg_max(s.size, s.position) FILTER (s.size IS NOT NULL) AS size,
                   arg_max(s.mime, s.position) FILTER (s.mime IS NOT NULL) AS mime,
                   arg_max(s.updated, coalesce(s.updated_at, 'epoch'::TIMESTAMPTZ)) AS updated,
                   max(s.updated_at) AS updated_at,
                   min(s.extra) AS extra, 0::UBIGINT AS content, any_value(m.n) AS n, any_value(m.d) AS d,
                   count(DISTINCT s.raw_category) > 1 AS contradicts
            FROM said s JOIN many m ON m.member = s.member AND m.media_key = s.media_key
            WHERE NOT s.withdraw GROUP BY s.member, s.media_key""",
            tri=tri,
        )
    )
    con.execute("UPDATE united SET series = list_sort(series), tags = list_sort(tags)")
    con.execute("UPDATE united SET series = NULL WHERE len(series) = 0")
    con.execute("UPDATE united SET tags = NULL WHERE len(tags) = 0")
    _unite_extras(con)
    con.execute(compose("UPDATE united SET content = {content}", content=content_sql()))
    con.execute("INSERT INTO folded BY NAME SELECT * FROM united")


def _unite_extras(con: duckdb.DuckDBPyConnection) -> None:
    """Members without a column: the same member with other content becomes a list of both; lists are joined."""
    con.execute(
        """CREATE OR REPLACE TEMP TABLE several AS
           SELECT *, row_number() OVER (ORDER BY media_key, member) AS n FROM (
           SELECT s.member, s.media_key, list(s.extra ORDER BY s.position) AS extras
           FROM said s JOIN many m ON m.member = s.member AND m.media_key = s.media_key
           WHERE s.extra IS NOT NULL AND NOT s.withdraw
           GROUP BY s.member, s.media_key HAVING count(DISTINCT s.extra) > 1)"""
    )
    for start in range(0, scalar(con, "SELECT count(*) FROM several"), 50_000):
        block = con.execute(
            "SELECT member, media_key, extras FROM several WHERE n > ? AND n <= ?", [start, start + 50_000]
        ).fetchall()
        united = {
            "member": pa.array([row[0] for row in block], pa.string()),
            "media_key": pa.array([row[1] for row in block], pa.int64()),
            "extra": pa.array([unite(row[2]) for row in block], pa.string()),
        }
        con.register("united_extra", pa.table(united))
        con.execute(
            """UPDATE united SET extra = e.extra FROM united_extra e
               WHERE united.member = e.member AND united.media_key = e.media_key"""
        )
        con.unregister("united_extra")


def unite(extras: list[str]) -> str:
    """One JSON object with the members of all: equal ones once, lists joined without repeats, others as lists of all."""
    whole: dict[str, Any] = {}
    for text in extras:
        for name, value in orjson.loads(text).items():
            if name not in whole:
                whole[name] = value
                continue
            have = whole[name]
            if have == value:
                continue
            left = have if isinstance(have, list) else [have]
            right = value if isinstance(value, list) else [value]
            whole[name] = left + [v for v in right if v not in left]
    return orjson.dumps(whole).decode()


def _assert_opinions(con: duckdb.DuckDBPyConnection, delivery: Delivery) -> dict[str, int]:
    """Compare with what stands; close what is superseded; add what is new. Returns kept, duplicate, updated."""
    source, release = delivery.source, delivery.release
    con.execute(
        """CREATE OR REPLACE TEMP TABLE standing AS
           SELECT rowid AS row, media_key, member, content, entry_id, updated_at FROM opinion
           WHERE source_id = ? AND valid_to IS NULL""",
        [source.source_id],
    )
    con.execute(
        """CREATE OR REPLACE TEMP TABLE verdict AS
           SELECT f.position, f.n, f.d, s.row,
                  CASE WHEN s.row IS NULL THEN 'kept' WHEN s.content = f.content THEN 'duplicate' ELSE 'updated' END AS state
           FROM folded f LEFT JOIN standing s ON s.media_key = f.media_key AND s.member = f.member"""
    )
    con.execute(  # an entry that a person withdrew is not brought back by the same entry in the next delivery
        """UPDATE verdict SET state = 'duplicate' WHERE state = 'kept' AND position IN (
               SELECT f.position FROM folded f JOIN opinion o
                 ON o.media_key = f.media_key AND o.member = f.member AND o.content = f.content
               WHERE o.source_id = ? AND o.ended = 'withdrawn by hand')""",
        [source.source_id],
    )
    if delivery.stable_ids:
        _move(con, release)
    else:  # a row that says it is older than what stands changes nothing, whenever it comes
        con.execute(
            """UPDATE verdict SET state = 'duplicate' WHERE state = 'updated' AND position IN (
                   SELECT f.position FROM folded f JOIN standing s ON s.media_key = f.media_key AND s.member = f.member
                   WHERE f.updated_at < s.updated_at)"""
        )
    _close(con, Sql("SELECT row FROM verdict WHERE state = 'updated' AND row IS NOT NULL"), release, "superseded")
    kept = each("f.{name}", _KEPT)
    con.execute(
        compose(
            """INSERT INTO opinion BY NAME
            SELECT f.media_key, $source AS source_id, f.member, f.entry_id, $country AS country, f.raw_category,
                   coalesce(c.category, 'UNMAPPED') AS category, f.votes, f.disputed, {kept}, f.content,
                   $set::INTEGER AS set_id, f.position, $release::INTEGER AS valid_from,
                   NULL::INTEGER AS valid_to, NULL::VARCHAR AS ended
            FROM folded f JOIN verdict v USING (position)
            LEFT JOIN category_map c
              ON c.source_id = $source AND c.country = $country AND upper(c.raw_category) = upper(f.raw_category)
            WHERE v.state <> 'duplicate' ORDER BY f.media_key""",
            kept=kept,
        ),
        {
            "source": source.source_id,
            "country": delivery.record.country,
            "set": delivery.set_id,
            "release": release,
        },
    )
    con.execute(
        """INSERT INTO touched SELECT f.media_key FROM folded f JOIN verdict v USING (position)
           WHERE v.state <> 'duplicate'"""
    )
    con.execute(
        """INSERT INTO conflict SELECT ?, f.media_key, 'self_contradiction',
                  ? || ' gives one media more than one category in one file'
           FROM folded f JOIN verdict v USING (position) WHERE f.contradicts AND v.state <> 'duplicate'""",
        [release, source.source_id],
    )
    [row] = con.execute(
        """SELECT coalesce(sum(CASE WHEN state = 'kept' THEN 1 ELSE 0 END), 0),
                  coalesce(sum(CASE WHEN state = 'duplicate' THEN n ELSE n - d END), 0),
                  coalesce(sum(CASE state WHEN 'updated' THEN d WHEN 'kept' THEN d - 1 ELSE 0 END), 0)
           FROM verdict"""
    ).fetchall()
    kept_n, duplicate, updated = row
    return {"kept": int(kept_n), "duplicate": int(duplicate), "updated": int(updated)}


def _move(con: duckdb.DuckDBPyConnection, release: int) -> None:
    """An entry that names other hashes now moves: what it said of the old media no longer stands."""
    con.execute(
        """CREATE OR REPLACE TEMP TABLE moved AS
           SELECT s.row, f.position FROM folded f JOIN standing s
             ON s.member = f.member AND s.entry_id = f.entry_id AND s.media_key <> f.media_key"""
    )
    con.execute(
        "UPDATE verdict SET state = 'updated' WHERE state = 'kept' AND position IN (SELECT position FROM moved)"
    )
    _close(con, Sql("SELECT row FROM moved"), release, "superseded")


def _close(con: duckdb.DuckDBPyConnection, rows: Sql, release: int, how: str) -> None:
    con.execute(compose("INSERT INTO touched SELECT media_key FROM opinion WHERE rowid IN ({rows})", rows=rows))
    con.execute(
        compose("UPDATE opinion SET valid_to = ?, ended = ? WHERE rowid IN ({rows})", rows=rows),
        [release, how],
    )


def _withdraw(con: duckdb.DuckDBPyConnection, delivery: Delivery) -> tuple[int, int, int]:
    """Tombstones, by entry id or by any digest of the row. Returns withdrawn, naming nothing known, withdrawn before."""
    if not scalar(con, "SELECT count(*) FROM said WHERE withdraw"):
        return 0, 0, 0
    source, release = delivery.source, delivery.release
    found: list[Sql] = []
    if delivery.stable_ids:
        found.append(
            Sql("""SELECT s.position, o.rowid AS row, o.valid_to FROM said s JOIN opinion o
                 ON o.source_id = $source AND o.member = s.member AND o.entry_id = s.entry_id WHERE s.withdraw""")
        )
    found += [
        compose(
            """SELECT i.position, o.rowid AS row, o.valid_to FROM incoming i
            JOIN {table} h ON {same}
            JOIN opinion o ON o.media_key = h.media_key AND o.source_id = $source
            JOIN said s ON s.position = i.position AND (s.member = '' OR s.member = o.member)
            WHERE i.withdraw""",
            table=a.table,
            same=equal("h", "i", a),
        )
        for a in ALL
    ]
    con.execute(
        compose("CREATE OR REPLACE TEMP TABLE gone AS {found}", found=joined(found, " UNION ")),
        {"source": source.source_id},
    )
    [row] = con.execute(
        """SELECT count(*) FILTER (live > 0), count(*) FILTER (any_row > 0 AND live = 0), count(*) FILTER (any_row = 0)
           FROM (SELECT s.position, count(g.row) AS any_row, count(g.row) FILTER (g.valid_to IS NULL) AS live
                 FROM said s LEFT JOIN gone g USING (position) WHERE s.withdraw GROUP BY s.position)"""
    ).fetchall()
    how = "withdrawn by hand" if delivery.record.notes.get("withdrawal") else "withdrawn"
    _close(con, Sql("SELECT row FROM gone WHERE valid_to IS NULL"), release, how)
    withdrawn, before, unknown = row
    return int(withdrawn), int(unknown), int(before)


def _withdraw_absent(con: duckdb.DuckDBPyConnection, delivery: Delivery) -> int:
    """A full delivery replaces the last one: what it no longer names is withdrawn."""
    rows = Sql("""SELECT s.row FROM standing s
              ANTI JOIN folded f ON f.media_key = s.media_key AND f.member = s.member
              WHERE s.row IN (SELECT rowid FROM opinion WHERE valid_to IS NULL)""")
    con.execute(compose("CREATE OR REPLACE TEMP TABLE absent AS {rows}", rows=rows))
    _close(con, Sql("SELECT row FROM absent"), delivery.release, "withdrawn")
    return scalar(con, "SELECT count(*) FROM absent")
