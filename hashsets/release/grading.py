"""Grades: what the opinions on one media amount to, derived and never stored in place of them.

    TRUSTED      alert sources carry at least the policy's number of independent, undisputed votes and agree
    DISPUTED     an opinion is disputed, or sources map the media to different categories
    INDICATIVE   any other media that an alert source holds
    BENIGN       held by known-benign, comparison or test sources only
    WITHDRAWN    every opinion was withdrawn (or its sources are switched off)

Votes are independent by origin (policy) and member; the most votes of one origin and member count once. Entries
without a category carry no vote where the format has one. A known-benign opinion never changes the grade.
"""

from __future__ import annotations

import duckdb

from hashsets.release.tables import scalar
from pipeline.sql import Sql, compose, each, joined, literal

SEVERITY = ("A", "B", "C", "PROHIBITED", "EXTREME", "UNMAPPED", "COMPARISON", "NON_PERTINENT")
"""Which category is shown when sources differ: the gravest. Order of UK offences, then what is not an offence."""

HARMLESS = ("NON_PERTINENT", "COMPARISON")


SLICE = 4_000_000
"""Media graded at once: bounds the memory of a first release."""


def _tri(column: str) -> Sql:
    yes, no = (
        compose("bool_or({column}) FILTER (alert_source)", column=column),
        compose("bool_or(NOT {column}) FILTER (alert_source)", column=column),
    )
    return compose(
        "CASE WHEN {yes} AND {no} THEN 'disputed' WHEN {yes} THEN 'yes' WHEN {no} THEN 'no' ELSE 'unknown' END",
        yes=yes,
        no=no,
    )


def standing_sql(keys: str, trusted_votes: int) -> Sql:
    """SQL with one row for each media_key of the table `keys`: grade, category, sources, flags, series, tags, ...

    The result has the columns of `Release.describe`; a media without any opinion left is WITHDRAWN.
    """
    ranked = [compose("WHEN {category} THEN {i}", category=literal(c), i=i) for i, c in enumerate(SEVERITY)]
    rank = compose("CASE category {ranked} ELSE 5 END", ranked=joined(ranked, " "))
    names = compose("[{names}]", names=map(literal, SEVERITY))
    harmless = joined(map(literal, HARMLESS), ", ")
    return compose(
        """
        WITH live AS (
            SELECT o.*, s.kind = 'alert' AS alert_source, s.kind = 'known_benign' AS benign_source,
                   s.origin || chr(31) || o.member AS voter, {rank} AS rank,
                   category = 'UNMAPPED' AND raw_category IS NOT NULL AS unmapped
            FROM opinion o SEMI JOIN {keys} k ON k.media_key = o.media_key JOIN source s ON s.source_id = o.source_id
            WHERE o.valid_to IS NULL AND s.enabled),
        voters AS (
            SELECT media_key, sum(votes)::INTEGER AS votes FROM (
                SELECT media_key, voter, max(votes) AS votes FROM live
                WHERE alert_source AND NOT disputed GROUP BY ALL) GROUP BY media_key),
        summed AS (
            SELECT media_key,
                   bool_or(alert_source) AS held,
                   coalesce(bool_or(disputed) FILTER (alert_source), false)
                     OR count(DISTINCT category) FILTER (alert_source AND category <> 'UNMAPPED') > 1
                     OR count(DISTINCT source_id || chr(31) || raw_category) FILTER (alert_source AND unmapped)
                        > count(DISTINCT source_id) FILTER (alert_source AND unmapped) AS disputed,
                   coalesce(bool_or(benign_source), false) AS benign,
                   coalesce(bool_or(alert_source AND category NOT IN ({harmless})), false) AS alert,
                   {names}[coalesce(min(rank) FILTER (alert_source), min(rank))::INTEGER + 1] AS category,
                   list_sort(list(DISTINCT source_id)) AS sources,
                   list_sort(list(DISTINCT source_id || ':' || raw_category)
                             FILTER (raw_category IS NOT NULL)) AS raw_categories,
                   {victim} AS victim_identified,
                   {offender} AS offender_identified,
                   {distributed} AS distributed,
                   list_sort(list_distinct(flatten(list(series) FILTER (series IS NOT NULL)))) AS series,
                   list_sort(list_distinct(flatten(list(tags) FILTER (tags IS NOT NULL)))) AS tags
            FROM live GROUP BY media_key)
        SELECT k.media_key,
               CASE WHEN s.media_key IS NULL THEN 'WITHDRAWN' WHEN NOT s.held THEN 'BENIGN'
                    WHEN s.disputed THEN 'DISPUTED' WHEN coalesce(v.votes, 0) >= {votes} THEN 'TRUSTED'
                    ELSE 'INDICATIVE' END AS grade,
               coalesce(s.category, 'UNMAPPED') AS category,
               coalesce(v.votes, 0)::INTEGER AS votes,
               coalesce(s.sources, []::VARCHAR[]) AS sources,
               coalesce(s.raw_categories, []::VARCHAR[]) AS raw_categories,
               coalesce(s.victim_identified, 'unknown') AS victim_identified,
               coalesce(s.offender_identified, 'unknown') AS offender_identified,
               coalesce(s.distributed, 'unknown') AS distributed,
               coalesce(s.series, []::VARCHAR[]) AS series,
               coalesce(s.tags, []::VARCHAR[]) AS tags,
               coalesce(s.alert, false) AS alert,
               coalesce(s.benign, false) AS benign
        FROM {keys} k LEFT JOIN summed s ON s.media_key = k.media_key LEFT JOIN voters v ON v.media_key = k.media_key""",
        rank=rank,
        keys=keys,
        harmless=harmless,
        names=names,
        victim=_tri("victim_identified"),
        offender=_tri("offender_identified"),
        distributed=_tri("distributed"),
        votes=int(trusted_votes),
    )


def single_sql(keys: str, trusted_votes: int) -> Sql:
    """The same rows as `standing_sql` for media of which exactly one opinion stands: no groups, so fast for millions."""
    tri = each(
        "CASE WHEN NOT alert_source THEN 'unknown' WHEN {name} THEN 'yes' WHEN NOT {name} THEN 'no' ELSE 'unknown' END AS {name}",
        ("victim_identified", "offender_identified", "distributed"),
    )
    harmless = joined(map(literal, HARMLESS), ", ")
    return compose(
        """
        WITH live AS (
            SELECT o.*, s.kind = 'alert' AS alert_source, s.kind = 'known_benign' AS benign_source
            FROM opinion o SEMI JOIN {keys} k ON k.media_key = o.media_key JOIN source s ON s.source_id = o.source_id
            WHERE o.valid_to IS NULL AND s.enabled)
        SELECT media_key,
               CASE WHEN NOT alert_source THEN 'BENIGN' WHEN disputed THEN 'DISPUTED'
                    WHEN votes >= {votes} THEN 'TRUSTED' ELSE 'INDICATIVE' END AS grade,
               category, CASE WHEN alert_source AND NOT disputed THEN votes ELSE 0 END::INTEGER AS votes,
               [source_id] AS sources,
               CASE WHEN raw_category IS NULL THEN []::VARCHAR[] ELSE [source_id || ':' || raw_category] END
                   AS raw_categories,
               {tri},
               coalesce(list_sort(list_distinct(series)), []::VARCHAR[]) AS series,
               coalesce(list_sort(list_distinct(tags)), []::VARCHAR[]) AS tags,
               alert_source AND category NOT IN ({harmless}) AS alert, benign_source AS benign
        FROM live""",
        keys=keys,
        votes=int(trusted_votes),
        tri=tri,
        harmless=harmless,
    )


_DIGEST = Sql("""md5_number_lower(concat_ws(chr(31), grade, category, votes, sources::VARCHAR, raw_categories::VARCHAR,
    victim_identified, offender_identified, distributed, series::VARCHAR, tags::VARCHAR, alert::VARCHAR,
    benign::VARCHAR))""")


def regrade(con: duckdb.DuckDBPyConnection, release: int, trusted_votes: int) -> dict[str, int]:
    """Grade the media of the temporary table `touched` anew and write what changed. Returns counts by change.

    A media that is new, or that has gained a hash, is `new`: it can match what it could not match before.
    """
    last = scalar(con, "SELECT max(media_key) FROM touched")
    for low in range(scalar(con, "SELECT min(media_key) FROM touched"), last + 1, SLICE):
        _regrade_slice(con, release, trusted_votes, low, low + SLICE)
    counts = {"new_media": 0, "new": 0, "withdrawn": 0, "regraded": 0}
    counts["new_media"] = scalar(con, "SELECT count(*) FROM media WHERE first_release = ?", [release])
    rows = con.execute("SELECT change, count(*) FROM change WHERE release = ? GROUP BY ALL", [release]).fetchall()
    return counts | {str(name): int(n) for name, n in rows}


def _regrade_slice(con: duckdb.DuckDBPyConnection, release: int, trusted_votes: int, low: int, high: int) -> None:
    """Grade the touched media with low <= media_key < high."""
    con.execute(
        """CREATE OR REPLACE TEMP TABLE touched_keys AS
           SELECT DISTINCT media_key FROM touched WHERE media_key >= ? AND media_key < ?""",
        [low, high],
    )
    con.execute(
        """CREATE OR REPLACE TEMP TABLE single_keys AS
           SELECT o.media_key FROM opinion o SEMI JOIN touched_keys k ON k.media_key = o.media_key
           JOIN source s ON s.source_id = o.source_id
           WHERE o.valid_to IS NULL AND s.enabled GROUP BY o.media_key HAVING count(*) = 1"""
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE other_keys AS SELECT * FROM touched_keys ANTI JOIN single_keys USING (media_key)"
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE graded (media_key BIGINT, grade VARCHAR, category VARCHAR, alert BOOLEAN, benign BOOLEAN, standing UBIGINT)"
    )
    for sql in (single_sql("single_keys", trusted_votes), standing_sql("other_keys", trusted_votes)):
        con.execute(
            compose(
                "INSERT INTO graded SELECT media_key, grade, category, alert, benign, {digest} FROM ({sql})",
                digest=_DIGEST,
                sql=sql,
            )
        )
    con.execute(
        """INSERT INTO change
           SELECT ?, m.media_key,
                  CASE WHEN g.grade = 'WITHDRAWN' THEN 'withdrawn' WHEN m.grade = 'WITHDRAWN' THEN 'new'
                       WHEN n.media_key IS NOT NULL THEN 'new' ELSE 'regraded' END,
                  m.grade, g.grade, m.category, g.category
           FROM graded g JOIN media m USING (media_key) LEFT JOIN new_hash n USING (media_key)
           WHERE m.first_release < ? AND (m.standing IS DISTINCT FROM g.standing OR n.media_key IS NOT NULL)
             AND NOT (m.grade = 'WITHDRAWN' AND g.grade = 'WITHDRAWN')""",
        [release, release],
    )
    con.execute(
        """UPDATE media SET grade = g.grade, category = g.category, alert = g.alert, benign = g.benign,
                  standing = g.standing FROM graded g
           WHERE media.media_key = g.media_key AND media.standing IS DISTINCT FROM g.standing"""
    )
