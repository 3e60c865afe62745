"""What people ask of releases: what changed between two, and where sources contradict each other."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from hashsets.algorithms import DIGESTS
from hashsets.release.releases import Release
from hashsets.release.tables import fetch, scalar
from pipeline.errors import UsageError
from pipeline.sql import Sql, compose, each, joined


def diff(older: Release, newer: Release) -> pa.Table:
    """What release `newer` says that `older` did not: media_key, change, alert, grade_before, grade, category, md5, sha1.

    Raises UsageError when they are given the wrong way round.
    """
    if older.number >= newer.number:
        raise UsageError(f"Release {older.number} is not older than {newer.number}.", "Name the older one first.")
    changed = newer.delta(older.number)
    return with_digests(newer, changed)


def with_digests(release: Release, table: pa.Table) -> pa.Table:
    """Add md5, sha1 and sha256 (hex, null where unknown) to rows that have a media_key."""
    keys = table.column("media_key")
    for algorithm in reversed(DIGESTS):
        found = release.hashes(algorithm.name, keys)
        by_key = dict(
            zip(
                found.column("media_key").to_pylist(), (v.hex() for v in found.column("value").to_pylist()), strict=True
            )
        )
        table = table.append_column(algorithm.name, pa.array([by_key.get(k) for k in keys.to_pylist()], pa.string()))
    return table


SLICE = 4_000_000
"""Media looked at together."""

CONFLICTS = {
    "category": "Sources map the media to different UK categories.",
    "illegal_or_not": "One source holds it as abuse material, another as non-pertinent or comparison.",
    "benign_and_alert": "It is in a known-benign set and in an alert set. The alert stands.",
    "disputed": "A source, or feedback to it, disputes the entry.",
    "self_contradiction": "One source gave it more than one category in one file.",
    "members": "Members of one source classify it differently.",
    "identity": "Two media share a digest while another digest differs: a damaged row, or a collision.",
}
"""Kinds of conflict, with the sentence that people read."""


def conflicts(release: Release, kinds: tuple[str, ...] = (), limit: int | None = None) -> list[dict[str, Any]]:
    """Conflicts that stand in a release: media_key, kind, meaning, detail, alert, grade, category.

    Computed from the opinions that stand, so a settled conflict is gone in the next release.
    """
    chosen = [k for k in CONFLICTS if not kinds or k in kinds]
    unknown = set(kinds) - set(CONFLICTS)
    if unknown:
        raise UsageError(f"No kind of conflict: {', '.join(sorted(unknown))}.", f"Kinds: {', '.join(CONFLICTS)}.")
    union = joined([compose("({query})", query=_QUERIES[k]) for k in chosen], " UNION ALL ")
    rows: list[tuple[Any, ...]] = []
    con = release.connect()
    try:
        slices = range(1, scalar(con, "SELECT max(media_key) FROM media") + 1, SLICE)
        for i, low in enumerate(slices):  # a reading connection cannot spill to disk
            con.execute(
                compose(
                    "CREATE OR REPLACE TEMP TABLE bounds AS SELECT {low} AS low, {high} AS high",
                    low=low,
                    high=low + SLICE,
                )
            )
            con.execute(
                compose(
                    "CREATE OR REPLACE TEMP TABLE share AS SELECT {parts}::UBIGINT AS parts, {part}::UBIGINT AS part",
                    parts=len(slices),
                    part=i,
                )
            )
            rows += fetch(
                con,
                compose(
                    """{live} SELECT c.media_key, c.kind, c.detail, m.alert, m.grade, m.category
                    FROM ({union}) c JOIN media m USING (media_key)""",
                    live=_LIVE,
                    union=union,
                ),
            )
    finally:
        con.close()
    rows = sorted(rows, key=lambda row: (row[1], row[0], row[2]))[:limit]
    names = ("media_key", "kind", "detail", "alert", "grade", "category")
    return [dict(zip(names, row, strict=True)) | {"meaning": CONFLICTS[row[1]]} for row in rows]


_LIVE = Sql("""WITH live AS (
    SELECT o.*, s.kind AS source_kind FROM opinion o JOIN source s USING (source_id)
    WHERE o.valid_to IS NULL AND s.enabled
      AND o.media_key >= (SELECT low FROM bounds) AND o.media_key < (SELECT high FROM bounds))""")

_LEGAL = Sql("('A', 'B', 'C', 'PROHIBITED', 'EXTREME')")
_WHO = Sql("string_agg(source_id || ': ' || category, ', ' ORDER BY source_id, category)")

_QUERIES = {
    "category": compose(
        """SELECT media_key, 'category' AS kind, {who} AS detail FROM live
        WHERE source_kind = 'alert' AND category IN {legal}
        GROUP BY media_key HAVING min(category) <> max(category)""",
        who=_WHO,
        legal=_LEGAL,
    ),
    "illegal_or_not": compose(
        """SELECT media_key, 'illegal_or_not' AS kind, {who} AS detail FROM live
        WHERE source_kind = 'alert' GROUP BY media_key
        HAVING bool_or(category IN ('NON_PERTINENT', 'COMPARISON')) AND bool_or(category IN {legal})""",
        who=_WHO,
        legal=_LEGAL,
    ),
    "benign_and_alert": Sql("""SELECT media_key, 'benign_and_alert' AS kind,
        string_agg(DISTINCT source_id, ', ' ORDER BY source_id) AS detail FROM live
        GROUP BY media_key HAVING bool_or(source_kind = 'known_benign') AND bool_or(source_kind = 'alert')"""),
    "disputed": Sql("""SELECT media_key, 'disputed' AS kind,
        string_agg(DISTINCT source_id || CASE member WHEN '' THEN '' ELSE ' member ' || member END, ', ') AS detail
        FROM live WHERE disputed GROUP BY media_key"""),
    "self_contradiction": Sql("""SELECT DISTINCT c.media_key, 'self_contradiction' AS kind, c.detail FROM conflict c
        SEMI JOIN live l ON l.media_key = c.media_key AND l.valid_from = c.release
        WHERE c.kind = 'self_contradiction'"""),
    "members": Sql("""SELECT media_key, 'members' AS kind,
        source_id || ': ' || string_agg(DISTINCT raw_category, ', ' ORDER BY raw_category) AS detail
        FROM live WHERE raw_category IS NOT NULL GROUP BY media_key, source_id
        HAVING count(DISTINCT member) > 1 AND min(raw_category) <> max(raw_category)"""),
    "identity": joined(
        [
            compose(
                """SELECT h.media_key, 'identity' AS kind, '{name} shared by media ' || k.all_keys AS detail
            FROM {table} h JOIN (
                SELECT {columns}, string_agg(media_key::VARCHAR, ', ' ORDER BY media_key) AS all_keys
                FROM {table} WHERE media_key >= 0 AND {first} % (SELECT parts FROM share) = (SELECT part FROM share)
                GROUP BY ALL HAVING count(*) > 1) k
              ON {same}""",
                name=a.name,
                table=a.table,
                columns=a.columns,
                first=a.columns[0],
                same=each("h.{name} = k.{name}", a.columns, " AND "),
            )
            for a in DIGESTS
        ],
        " UNION ALL ",
    ),
}
