"""Link keys: every value by which two referrals, or a referral and a list, can concern the same person, device or file.

One row a sighting: kind, value, referral, the lake row it comes from, the subject and role, and for IP addresses port,
time and proxy mark. The same SQL makes the keys of what is new and of what is old, so they cannot differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from pipeline import records
from pipeline.lake import Lake, Part

TABLES: dict[str, tuple[str, ...]] = {
    "identifiers": (
        "identifier_id", "referral_id", "subject_id", "kind", "service", "value", "port", "seen_at", "time_ambiguous",
        "possible_proxy",
    ),
    "subjects": ("subject_id", "referral_id", "role", "name", "date_of_birth"),
    "media_files": ("file_id", "referral_id", "sha256", "claimed_md5", "claimed_sha1", "claimed_sha256"),
    "fingerprints": ("sha256", "md5", "sha1"),
    "matches": ("match_id", "sha256", "file_id", "media_key", "kind", "grade", "category"),
    "referrals": ("referral_id", "supplements"),
}  # fmt: skip
"""Lake tables and columns that keys are made from."""

MACROS = """
    CREATE OR REPLACE MACRO folded(text) AS
        array_to_string(list_sort(regexp_extract_all(strip_accents(lower(text)), '[\\p{L}\\p{N}]+')), ' ');
    CREATE OR REPLACE MACRO person_value(name, born) AS
        CASE WHEN regexp_full_match(born, '\\d{4}-\\d{2}-\\d{2}') AND folded(name) <> '' THEN folded(name) || '|' || born END;
    CREATE OR REPLACE MACRO postcode(text) AS
        regexp_replace(regexp_extract(upper(text), '\\b[A-Z]{1,2}[0-9][A-Z0-9]? ?[0-9][A-Z]{2}\\b'), ' ', '');
    CREATE OR REPLACE MACRO address_rest(text) AS
        regexp_replace(upper(text), '\\b[A-Z]{1,2}[0-9][A-Z0-9]? ?[0-9][A-Z]{2}\\b', '');
    CREATE OR REPLACE MACRO address_value(text) AS
        CASE WHEN postcode(text) <> '' THEN postcode(text) || '|' || coalesce(
            nullif(regexp_extract(address_rest(text), '[0-9]+[A-Z]?'), ''), folded(split_part(address_rest(text), ',', 1)))
        END;
    CREATE OR REPLACE MACRO on_service(service, value) AS service || chr(31) || value;
"""
"""How values are brought to a form that can be compared: a name is its words in alphabetical order without accents,
with an ISO date of birth; an address is its postcode with the first house number, or the first line without one."""

_COLUMNS = "kind, value, referral_id, source, row_id, subject_id, role, port, seen_at, ambiguous, proxy"
_NO_TIME = "NULL::INTEGER AS port, NULL::TIMESTAMPTZ AS seen_at, false AS ambiguous, NULL::VARCHAR AS proxy"
_NO_PERSON = f"NULL::VARCHAR AS subject_id, NULL::VARCHAR AS role, {_NO_TIME}"

IDENTIFIERS = f"""
    SELECT {_COLUMNS} FROM (
        SELECT CASE
                WHEN i.kind IN ('username', 'user_id') AND service IS NULL THEN 'username_elsewhere'
                ELSE i.kind END AS kind,
            CASE
                WHEN i.kind IN ('username', 'user_id') AND service IS NOT NULL THEN on_service(service, i.value)
                WHEN i.kind = 'address' THEN address_value(i.value)
                ELSE i.value END AS value,
            i.referral_id, 'identifiers' AS source, identifier_id AS row_id, i.subject_id, role, port, seen_at,
            coalesce(time_ambiguous, false) AS ambiguous, possible_proxy AS proxy
        FROM {{identifiers}} i LEFT JOIN roles r ON r.subject_id = i.subject_id
        UNION ALL
        SELECT 'username_elsewhere', i.value, i.referral_id, 'identifiers', identifier_id, i.subject_id, role, NULL,
            NULL, false, NULL
        FROM {{identifiers}} i LEFT JOIN roles r ON r.subject_id = i.subject_id
        WHERE i.kind = 'username' AND service IS NOT NULL
    ) WHERE value IS NOT NULL
"""
PERSONS = f"""
    SELECT 'person' AS kind, person_value(name, date_of_birth) AS value, referral_id, 'subjects' AS source,
        subject_id AS row_id, subject_id, role, {_NO_TIME}
    FROM {{subjects}} WHERE name IS NOT NULL AND date_of_birth IS NOT NULL
        AND person_value(name, date_of_birth) IS NOT NULL
"""
_STATED_HASHES = f"""
    SELECT 'file_hash' AS kind, unnest(list_filter([
            'sha256:' || lower(hex(coalesce(sha256, claimed_sha256))), 'md5:' || lower(hex(claimed_md5)),
            'sha1:' || lower(hex(claimed_sha1))], lambda x: x IS NOT NULL)) AS value,
        referral_id, 'media_files' AS source, file_id AS row_id, {_NO_PERSON}
    FROM {{media_files}}
"""
_COMPUTED_HASHES = f"""
    SELECT 'file_hash' AS kind,
        unnest(list_filter(['md5:' || lower(hex(p.md5)), 'sha1:' || lower(hex(p.sha1))], lambda x: x IS NOT NULL)) AS value,
        referral_id, 'media_files' AS source, file_id AS row_id, {_NO_PERSON}
    FROM {{media_files}} f JOIN {{fingerprints}} p ON p.sha256 = f.sha256
"""
_KNOWN = f"""
    SELECT DISTINCT 'known_media' AS kind, media_key::VARCHAR AS value, f.referral_id, 'media_files' AS source,
        f.file_id AS row_id, {_NO_PERSON}
    FROM {{matches}} m JOIN {{media_files}} f ON f.sha256 = m.sha256 OR f.file_id = m.file_id
    WHERE m.kind IN ('exact', 'claimed') AND grade IN ('TRUSTED', 'INDICATIVE', 'DISPUTED')
        AND coalesce(category, 'UNMAPPED') NOT IN ('NON_PERTINENT', 'COMPARISON')
"""
_SUPPLEMENTS = f"""
    SELECT 'supplement' AS kind, unnest([referral_id, supplements]) AS value, referral_id, 'referrals' AS source,
        referral_id AS row_id, {_NO_PERSON}
    FROM {{referrals}} WHERE supplements IS NOT NULL AND supplements <> referral_id
    UNION ALL
    SELECT 'supplement', referral_id, referral_id, 'referrals', referral_id, {_NO_PERSON} FROM {{referrals}}
"""


def _select(sql: str, **ages: str) -> str:
    return sql.format(**{table: f"{age}_{table}" for table, age in ages.items()})


NEW = " UNION ALL ".join(
    [
        _select(IDENTIFIERS, identifiers="new"),
        _select(PERSONS, subjects="new"),
        _select(_STATED_HASHES, media_files="new"),
        _select(_COMPUTED_HASHES, media_files="new", fingerprints="new"),
        _select(_COMPUTED_HASHES, media_files="new", fingerprints="old"),
        _select(_COMPUTED_HASHES, media_files="old", fingerprints="new"),
        _select(_KNOWN, matches="new", media_files="new"),
        _select(_KNOWN, matches="new", media_files="old"),
        _select(_KNOWN, matches="old", media_files="new"),
        _select(_SUPPLEMENTS, referrals="new"),
    ]
)
"""Keys in which something of this night takes part."""

OLD = " UNION ALL ".join(
    [
        _select(IDENTIFIERS, identifiers="old"),
        _select(PERSONS, subjects="old"),
        _select(_STATED_HASHES, media_files="old"),
        _select(_COMPUTED_HASHES, media_files="old", fingerprints="old"),
        _select(_KNOWN, matches="old", media_files="old"),
        _select(_SUPPLEMENTS, referrals="old"),
    ]
)
"""Keys that earlier nights have linked already."""


def views(con: Any, lake: Lake, linked: Iterable[str]) -> list[str]:
    """Create the views new_<table>, old_<table> and roles over the lake's parts. `linked` names the parts that are
    linked already; returns the names of those that are not."""
    done, fresh = set(linked), []
    con.execute(MACROS)
    for table, columns in TABLES.items():
        parts = lake.parts(table)
        for age, chosen in (
            ("old", [p for p in parts if f"{table}/{p.path.name}" in done]),
            ("new", [p for p in parts if f"{table}/{p.path.name}" not in done]),
        ):
            _view(con, lake, f"{age}_{table}", table, columns, chosen)
        fresh += [name for p in parts if (name := f"{table}/{p.path.name}") not in done]
    con.execute(
        "CREATE VIEW roles AS SELECT subject_id, role FROM old_subjects UNION ALL SELECT subject_id, role FROM new_subjects"
    )
    return sorted(fresh)


def _view(con: Any, lake: Lake, name: str, table: str, columns: Sequence[str], parts: Sequence[Part]) -> None:
    """A view over verified parts; columns that older parts lack read as null."""
    schema = records.arrow_schema(table)
    empty = pa.schema([schema.field(c) for c in columns]).empty_table()
    con.register(f"empty_{name}", empty)
    if not parts:
        con.execute(f"CREATE VIEW {name} AS SELECT * FROM empty_{name}")
        return
    paths = [str(lake.verified(p).path) for p in parts]
    con.read_parquet(paths, union_by_name=True).create_view(f"raw_{name}")
    con.execute(
        f"CREATE VIEW {name} AS SELECT * FROM empty_{name} UNION ALL BY NAME SELECT {_there(con, name, columns)} FROM raw_{name}"
    )


def _there(con: Any, name: str, columns: Sequence[str]) -> str:
    present: Mapping[str, None] = dict.fromkeys(con.table(f"raw_{name}").columns)
    return ", ".join(c for c in columns if c in present)
