"""Link keys: every value by which two referrals, or a referral and a list, can concern the same person, device or file.

One row per sighting: kind, value, referral, the lake row it comes from, the subject and role, and for IP addresses port,
time and proxy mark. The same SQL makes the keys of what is new and of what is old, so they cannot differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import records
from pipeline.algorithms import DIGESTS
from pipeline.assess import database
from pipeline.lake import Lake, Part
from pipeline.lake.parts import SEQ

TABLES: dict[str, tuple[str, ...]] = {
    "identifiers": (
        "identifier_id", "referral_id", "subject_id", "kind", "service", "value", "original", "port", "seen_at", "time_ambiguous",
        "possible_proxy",
    ),
    "subjects": ("subject_id", "referral_id", "role", "name", "date_of_birth"),
    "media_files": ("file_id", "referral_id", "sha256", "claimed_md5", "claimed_sha1", "claimed_sha256"),
    "fingerprints": DIGESTS,
    "matches": ("match_id", "sha256", "file_id", "media_key", "kind", "grade", "category"),
    "referrals": ("referral_id", "supplements", "source", "source_reference", "prior_references"),
}  # fmt: skip
"""Lake tables and columns that keys are made from."""


def select(statement: str, **ages: str) -> str:
    """A keys_ statement over the new or the old rows of the tables it reads."""
    return database.sql(f"keys_{statement}", **{table: f"{age}_{table}" for table, age in ages.items()})


def new() -> str:
    """Keys in which something of this night takes part."""
    return " UNION ALL ".join(
        [
            select("identifiers", identifiers="new"),
            select("persons", subjects="new"),
            select("stated_hashes", media_files="new"),
            select("computed_hashes", media_files="new", fingerprints="new"),
            select("computed_hashes", media_files="new", fingerprints="near"),
            select("computed_hashes", media_files="near", fingerprints="new"),
            select("known_media", matches="new", media_files="new"),
            select("known_media", matches="new", media_files="near"),
            select("known_media", matches="near", media_files="new"),
            select("supplements", referrals="new"),
        ]
    )


def old() -> str:
    """Keys that earlier nights have linked already."""
    return " UNION ALL ".join(
        [
            select("identifiers", identifiers="old"),
            select("persons", subjects="old"),
            select("stated_hashes", media_files="old"),
            select("computed_hashes", media_files="old", fingerprints="old"),
            select("known_media", matches="old", media_files="old"),
            select("supplements", referrals="old"),
        ]
    )


def kept() -> str:
    """The same from the index of `links/index.py`, attached as `kept`."""
    return database.sql("keys_kept", kept="kept.keys")


def kept_near(con: duckdb.DuckDBPyConnection, among: str) -> str:
    """Of these at least the ones that stand in a table with the columns kind and value; the statement holds until the next call."""
    con.execute(database.sql("index_near", among=among))
    return database.sql("keys_kept", kept="near_kept")


def written(con: duckdb.DuckDBPyConnection, *ages: str) -> None:
    """The views written_identifiers and written_subjects: the rows, new or old, whose spellings are looked up."""
    for table in ("identifiers", "subjects"):
        rows = " UNION ALL ".join(database.sql("rows", view=f"{age}_{table}") for age in ages)
        con.execute(database.sql("view_of", view=f"written_{table}", rows=rows))


def fresh(lake: Lake, through: int) -> list[Part]:
    """The parts of TABLES that commits after `through` published."""
    return [p for c in lake.commits(after=through) for p in c.parts if p.table in TABLES]


def views(
    con: duckdb.DuckDBPyConnection, lake: Lake, through: int, came: Sequence[Part], *, indexed: bool = False
) -> None:
    """Create the views new_<table>, near_<table>, old_referrals and roles over the lake's rows. Commits up to `through` are linked
    already, `came` are the parts of later ones (`fresh`). Where the keys of what is old are kept (`indexed`: `kept` is attached)
    nothing old is read but what belongs to something new; otherwise there is old_<table> for every table."""
    con.execute(database.macros())
    new: dict[str, pa.Table] = {}
    old: dict[str, list[Part]] = {}
    for table, columns in TABLES.items():
        new_parts = [p for p in came if p.table == table]
        new[table] = lake.read(table, columns, parts=new_parts)
        con.register(f"new_{table}", new[table])
        names = {p.name for p in new_parts}
        old[table] = [p for p in lake.parts(table) if p.name not in names]
        if not indexed:
            _old(con, lake, table, old[table], through)
    near = _near(lake, new, old)
    for table in ("media_files", "fingerprints", "matches"):
        con.register(f"near_{table}", near[table])
    if indexed:
        con.register("old_subjects", near["subjects"])
        con.execute(database.sql("index_referrals"))
    con.execute(database.sql("roles"))
    written(con, "new", *(() if indexed else ("old",)))


def _near(lake: Lake, new: dict[str, pa.Table], old: dict[str, list[Part]]) -> dict[str, pa.Table]:
    """The old media files, fingerprints and matches that something new is joined with by its content, and the old subjects of new
    identifiers: looked up by key, since all of them are as many as all nights have brought. A claimed match is joined by the
    digest of its file's id. Merged parts may hold new rows too."""

    def rows(table: str, identity: str, column: str, values: pa.Array) -> pa.Table:
        found = lake.read(table, TABLES[table], parts=old[table], where=(column, values))
        return found.filter(pc.invert(pc.is_in(found[identity], value_set=new[table][identity].combine_chunks())))

    contents, prints, matched = (
        pc.unique(new[table]["sha256"].drop_null()) for table in ("media_files", "fingerprints", "matches")
    )
    not_sent = new["media_files"].filter(pc.is_null(new["media_files"]["sha256"]))["file_id"].to_pylist()
    claimed = pa.array([hashlib.sha256(file.encode()).digest() for file in not_sent], contents.type)
    named = pc.unique(new["matches"]["file_id"].drop_null())
    by_content = rows("media_files", "file_id", "sha256", pc.unique(pa.concat_arrays([prints, matched])))
    by_name = rows("media_files", "file_id", "file_id", named)
    others = by_name.filter(pc.invert(pc.is_in(by_name["file_id"], value_set=by_content["file_id"].combine_chunks())))
    return {
        "media_files": pa.concat_tables([by_content, others]),
        "fingerprints": rows("fingerprints", "sha256", "sha256", contents),
        "matches": rows("matches", "match_id", "sha256", pa.concat_arrays([contents, claimed])),
        "subjects": rows(
            "subjects", "subject_id", "subject_id", pc.unique(new["identifiers"]["subject_id"].drop_null())
        ),
    }


def _old(con: duckdb.DuckDBPyConnection, lake: Lake, table: str, parts: Sequence[Part], through: int) -> None:
    """A view over verified parts, of merged ones only what was published up to `through`; columns that older parts lack
    read as null."""
    name = f"old_{table}"
    schema = records.arrow_schema(table)
    con.register(f"empty_{name}", pa.schema([schema.field(c) for c in TABLES[table]]).empty_table())
    if not parts:
        con.table(f"empty_{name}").create_view(name)
        return
    rows = con.read_parquet([str(lake.verified(p).path) for p in parts], union_by_name=True)
    there = set(rows.columns)
    if SEQ in there:
        rows = rows.filter(f"coalesce({SEQ}, 0) <= {int(through)}")
    rows.project(", ".join(c for c in TABLES[table] if c in there)).create_view(f"rows_{name}")
    con.execute(database.sql("view", view=name))
