"""Link keys: every value by which two referrals, or a referral and a list, can concern the same person, device or file.

One row per sighting: kind, value, referral, the lake row it comes from, the subject and role, and for IP addresses port,
time and proxy mark. The same SQL makes the keys of what is new and of what is old, so they cannot differ.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pyarrow as pa

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
            select("computed_hashes", media_files="new", fingerprints="old"),
            select("computed_hashes", media_files="old", fingerprints="new"),
            select("known_media", matches="new", media_files="new"),
            select("known_media", matches="new", media_files="old"),
            select("known_media", matches="old", media_files="new"),
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
    return database.sql("keys_kept", mailboxes=database.sql("keys_kept_mailboxes"))


def kept_near(among: str) -> str:
    """Of these at least the ones that stand in a table with the columns kind and value."""
    return database.sql("keys_near", among=among, mailboxes=database.sql("keys_kept_mailboxes"))


def written(con: duckdb.DuckDBPyConnection, *ages: str) -> None:
    """The views written_identifiers and written_subjects: the rows, new or old, whose spellings are looked up."""
    for table in ("identifiers", "subjects"):
        rows = " UNION ALL ".join(database.sql("rows", view=f"{age}_{table}") for age in ages)
        con.execute(database.sql("view_of", view=f"written_{table}", rows=rows))


def views(con: duckdb.DuckDBPyConnection, lake: Lake, through: int) -> list[str]:
    """Create the views new_<table>, old_<table> and roles over the lake's rows. Commits up to `through` are linked
    already; returns the names of the parts that later ones published."""
    fresh = [p for c in lake.commits(after=through) for p in c.parts if p.table in TABLES]
    con.execute(database.macros())
    for table, columns in TABLES.items():
        new_parts = [p for p in fresh if p.table == table]
        con.register(f"new_{table}", lake.read(table, columns, parts=new_parts))
        names = {p.name for p in new_parts}
        _old(con, lake, table, [p for p in lake.parts(table) if p.name not in names], through)
    con.execute(database.sql("roles"))
    written(con, "new", "old")
    return sorted(p.name for p in fresh)


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
