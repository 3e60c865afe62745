"""The lake's rows of one case, found at once: a derived SQLite file, HOME/console/evidence.sqlite, that may be deleted at any time.

The lake is laid out for the night (whole columns of all cases); a page needs all rows of one case. `Evidence.refresh`
adds the rows of every published part that it has not seen (each part verified against its SHA-256, one transaction
each) and removes those of parts that are gone. Texts are kept apart from all else and read only when they are opened.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import orjson

from pipeline import files, records
from pipeline.algorithms import COMPUTED
from pipeline.console.terms import terms
from pipeline.lake import Lake, Part
from pipeline.matching import levels
from pipeline.settings import Settings
from pipeline.sql import compose, each, marks

KEYS = {
    "referrals": "referral_id",
    "subjects": "referral_id",
    "identifiers": "referral_id",
    "facts": "referral_id",
    "media_files": "referral_id",
    "packages": "referral_id",
    "defects": "referral_id",
    "narratives": "referral_id",
    "fingerprints": "sha256",
    "matches": "sha256",
}
"""Lake tables that a page shows, and the column by which their rows are found."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS parts (part INTEGER PRIMARY KEY, name TEXT UNIQUE, sha256 TEXT);
CREATE TABLE IF NOT EXISTS rows (kind TEXT, key TEXT, part INTEGER, body BLOB);
CREATE INDEX IF NOT EXISTS by_key ON rows (kind, key);
CREATE TABLE IF NOT EXISTS match_ids (match_id TEXT, content TEXT, kind TEXT, grade TEXT, release INTEGER, place INTEGER,
    media_key INTEGER, part INTEGER);
CREATE INDEX IF NOT EXISTS by_place ON match_ids (place, match_id);
CREATE INDEX IF NOT EXISTS by_media ON match_ids (media_key);
CREATE INDEX IF NOT EXISTS by_match ON match_ids (match_id);
CREATE TABLE IF NOT EXISTS terms (term TEXT, referral TEXT, kind TEXT, value TEXT, part INTEGER);
CREATE INDEX IF NOT EXISTS by_term ON terms (term);
CREATE TABLE IF NOT EXISTS taken (through INTEGER);
CREATE TABLE IF NOT EXISTS near (hash BLOB, content TEXT, part INTEGER);
"""
_KEPT = ("rows", "match_ids", "terms", "near")
"""Tables whose rows belong to a part of the lake, and go with it."""

_FORMAT = 6


class Evidence:
    """Rows of the lake by case. Safe to share between threads; several processes may refresh the same file."""

    def __init__(self, settings: Settings, erased: Callable[[], set[str]] | None = None) -> None:
        """`erased` gives the referrals of erased cases: their rows leave the index at the next refresh, whether the lake
        has been emptied of them yet or not."""
        self._erased = erased or set
        self._forgotten: frozenset[str] = frozenset()
        self.lake = Lake.of(settings)
        self.path = settings.home / "console" / "evidence.sqlite"
        self._local = threading.local()
        self._writing = threading.Lock()
        self._seen = -1

    def refresh(self) -> int:
        """Take in what the lake has published since; returns the number of parts added or removed.

        Only commits after the last one taken in are looked at, whoever took it in and however long ago. A lake that
        ends before that (it was restored from a backup) is compared part by part.
        """
        last, erased = self.lake.last(), frozenset(self._erased())
        if last == self._seen and erased == self._forgotten:
            return 0
        files.make_folder(self.path.parent)
        with self._writing, closing(sqlite3.connect(self.path, timeout=60, isolation_level=None)) as connection:
            self.path.chmod(0o600)
            _prepare(connection)
            row = connection.execute("SELECT max(through) FROM taken").fetchone()
            through = int(row[0] or 0) if row[0] is not None and row[0] <= last else 0
            commits = self.lake.commits(after=through)
            published = {_name(part): part for commit in commits for part in commit.parts if part.table in KEYS}
            changed = _bring_up(connection, self.lake, published, whole=through == 0)
            _forget(connection, erased if changed else erased - self._forgotten)
            connection.execute("DELETE FROM taken")
            connection.execute("INSERT INTO taken VALUES (?)", (last,))
        self._seen, self._forgotten = last, erased
        return changed

    def rows(self, kind: str, keys: Iterable[str]) -> list[dict[str, Any]]:
        """Rows of a table for some keys (referral ids, or SHA-256 in hex), in the order they were published."""
        return self.of_kinds((kind,), keys)[kind]

    def of_kinds(self, kinds: Collection[str], keys: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
        """Rows of some tables that are found by the same keys, by table, each in the order they were published."""
        found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
        connection = self._connection()
        wanted = list(dict.fromkeys(keys))
        for start in range(0, len(wanted), 500):
            chunk = wanted[start : start + 500]
            query = compose(
                "SELECT kind, body FROM rows WHERE kind IN ({kinds}) AND key IN ({keys}) ORDER BY rowid",
                kinds=marks(len(kinds)),
                keys=marks(len(chunk)),
            )
            for kind, body in connection.execute(query, (*kinds, *chunk)):
                found[kind].append(orjson.loads(body))
        return found

    def texts(self, keys: Iterable[str], compartments: Iterable[str]) -> int:
        """How many chat and narrative entries of these referrals somebody with these compartments may open."""
        wanted, allowed = list(dict.fromkeys(keys)), sorted(compartments)
        query = compose(
            """SELECT count(*) FROM (SELECT json_extract(CAST(body AS TEXT), '$.compartment') AS place FROM rows
               WHERE kind = 'narratives' AND key IN ({keys})) WHERE place IS NULL OR place IN ({allowed})""",
            keys=marks(len(wanted)),
            allowed=marks(len(allowed)),
        )
        found: int = self._connection().execute(query, (*wanted, *allowed)).fetchone()[0]
        return found

    def match(self, match_id: str) -> dict[str, Any] | None:
        """One match by its id, or None."""
        query = "SELECT content FROM match_ids WHERE match_id = ?"
        row = self._connection().execute(query, (match_id,)).fetchone()
        found = self.rows("matches", [row[0]]) if row else []
        return next((m for m in found if m["match_id"] == match_id), None)

    def matches(
        self,
        *,
        kinds: Iterable[str],
        grades: Iterable[str],
        release: int | None,
        after: str,
        limit: int,
        hidden: set[str],
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Matches by level and grade from after `after` on, and the place of the last one when more follow.

        A row here has no file name and no case: what may be known of those is the case's matter. Matches of contents
        that only `hidden` referrals hold are left out.
        """
        query = "SELECT DISTINCT place, match_id, content FROM match_ids WHERE (place, match_id) > (?, ?)"
        place, _, last = after.partition(".")
        values: list[str | int] = [int(place) if place.isdecimal() and len(place) < 10 else -1, last]
        filters: tuple[tuple[str, list[str] | list[int]], ...] = (
            ("kind", list(kinds)),
            ("grade", list(grades)),
            ("release", [] if release is None else [release]),
        )
        for column, wanted in filters:
            if wanted:
                query += f" AND {column} IN ({','.join('?' * len(wanted))})"
                values += wanted
        left_out = self._held_only_by(hidden)
        found: list[dict[str, Any]] = []
        place = ""
        for number, match_id, content in self._connection().execute(query + " ORDER BY place, match_id", values):
            if content in left_out:
                continue
            if len(found) == limit:
                return found, place
            place = f"{number}.{match_id}"
            found.append(next(m for m in self.rows("matches", [content]) if m["match_id"] == match_id))
        return found, None

    def matches_of(self, media_keys: Iterable[int], hidden: set[str]) -> dict[int, list[dict[str, Any]]]:
        """Matches of known media items by media key, the strongest first, without those that only `hidden` referrals hold."""
        left_out = self._held_only_by(hidden)
        found: dict[int, list[dict[str, Any]]] = {}
        query = "SELECT DISTINCT place, match_id, content FROM match_ids WHERE media_key = ? ORDER BY place, match_id"
        for key in dict.fromkeys(media_keys):
            for _, match_id, content in self._connection().execute(query, (key,)):
                if content not in left_out:
                    match = next(m for m in self.rows("matches", [content]) if m["match_id"] == match_id)
                    found.setdefault(key, []).append(match)
        return found

    def _held_only_by(self, referrals: set[str]) -> set[str]:
        """Contents (hex), and ids of files with stated digests only, that no other referral than these holds."""
        found: set[str] = set()
        for file in self.rows("media_files", sorted(referrals)):
            found.add(file["file_id"])
            if file["sha256"] and referrals.issuperset(self.referrals_with(file["sha256"])):
                found.add(file["sha256"])
        return found

    def holders(self, match: dict[str, Any]) -> list[str]:
        """Referrals that hold the content of a match, or state its digest."""
        if match.get("file_id"):
            query = "SELECT CAST(body AS TEXT) FROM rows WHERE kind = 'file_id' AND key = ?"
            return [row[0] for row in self._connection().execute(query, (match["file_id"],))]
        return self.referrals_with(match["sha256"])

    def supplements(self, referral_id: str) -> list[str]:
        """Referrals that extend this one, sorted."""
        query = "SELECT DISTINCT CAST(body AS TEXT) FROM rows WHERE kind = 'supplement' AND key = ? ORDER BY 1"
        return [row[0] for row in self._connection().execute(query, (referral_id,))]

    def referrals_with(self, sha256: str) -> list[str]:
        """Referrals that hold this content (hex), sorted."""
        query = "SELECT DISTINCT CAST(body AS TEXT) FROM rows WHERE kind = 'content' AND key = ? ORDER BY 1"
        return [row[0] for row in self._connection().execute(query, (sha256,))]

    def found(self, term: str) -> list[tuple[str, str, str]]:
        """What stands under a term (`terms.py`): referral id, kind of the value, the value as given."""
        query = "SELECT DISTINCT referral, kind, value FROM terms WHERE term = ? ORDER BY referral, kind, value"
        return list(self._connection().execute(query, (term,)))

    def contents_with(self, algorithm: str, value: bytes) -> set[str]:
        """Contents (SHA-256 in hex) that were found to have this hash."""
        query = "SELECT CAST(body AS TEXT) FROM rows WHERE kind = 'hash' AND key = ?"
        return {row[0] for row in self._connection().execute(query, (f"{algorithm}:{value.hex()}",))}

    def contents_near(self, pdq: bytes, bits: int) -> list[tuple[str, int]]:
        """Contents whose PDQ differs from `pdq` (32 bytes) in at most `bits` bits, and in how many; nearest first.

        Every hash is compared, some thousand at a time, so that memory stays small however many files there are.
        """
        asked = np.frombuffer(pdq, np.uint64)
        found: list[tuple[str, int]] = []
        cursor = self._connection().execute("SELECT hash, content FROM near")
        while rows := cursor.fetchmany(10_000):
            held = np.frombuffer(b"".join(row[0] for row in rows), np.uint64).reshape(-1, 4)
            distances = np.bitwise_count(held ^ asked).sum(axis=1)
            found += [(rows[place][1], int(distances[place])) for place in np.flatnonzero(distances <= bits)]
        return sorted(set(found), key=lambda one: (one[1], one[0]))

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            if not self.path.is_file():
                self.refresh()
            if not self.path.is_file():
                with closing(sqlite3.connect(self.path, isolation_level=None)) as made:
                    _prepare(made)
            connection = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=60, isolation_level=None)
            self._local.connection = connection
        return connection


def _bring_up(connection: sqlite3.Connection, lake: Lake, published: dict[str, Part], *, whole: bool) -> int:
    """Add the published parts that are not held; those held and not published go, when `whole` says that these are all."""
    held = {
        name: (number, digest) for number, name, digest in connection.execute("SELECT part, name, sha256 FROM parts")
    }
    stale = [n for n, (_, digest) in held.items() if n not in published or published[n].sha256 != digest]
    stale = stale if whole else [n for n in stale if n in published]
    for name in stale:
        connection.execute("BEGIN IMMEDIATE")
        for kept in _KEPT:
            connection.execute(compose("DELETE FROM {kept} WHERE part = ?", kept=kept), (held[name][0],))
        connection.execute("DELETE FROM parts WHERE name = ?", (name,))
        connection.execute("COMMIT")
    fresh = [part for name, part in sorted(published.items()) if name not in held or name in stale]
    for part in fresh:
        table = lake.read(part.table, parts=[part])
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("SELECT 1 FROM parts WHERE name = ?", (_name(part),)).fetchone():
            connection.execute("ROLLBACK")  # another process was faster
            continue
        number = connection.execute(
            "INSERT INTO parts (name, sha256) VALUES (?, ?)", (_name(part), part.sha256)
        ).lastrowid
        for batch in table.to_batches(max_chunksize=20_000):
            rows = batch.to_pylist()
            connection.executemany("INSERT INTO rows VALUES (?, ?, ?, ?)", _entries(part.table, rows, int(number or 0)))
            connection.executemany(
                "INSERT INTO terms VALUES (?, ?, ?, ?, ?)",
                [
                    (term, r["referral_id"], kind, value, number)
                    for r in rows
                    for term, kind, value in terms(part.table, r)
                ],
            )
            if part.table == "fingerprints":
                prints = [(r["pdq"], r["sha256"].hex(), number) for r in rows if r["pdq"] is not None]
                connection.executemany("INSERT INTO near VALUES (?, ?, ?)", prints)
            if part.table == "matches":
                connection.executemany(
                    "INSERT INTO match_ids VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    [
                        (
                            m["match_id"],
                            _key("matches", m),
                            m["kind"],
                            m["grade"],
                            m["release"],
                            levels.place(m),
                            m["media_key"],
                            number,
                        )
                        for m in rows
                    ],
                )
        connection.execute("COMMIT")
    return len(stale) + len(fresh)


def _forget(connection: sqlite3.Connection, referrals: Collection[str]) -> None:
    """Remove every row of these referrals, and what leads to them. SQLite overwrites what it deletes (`secure_delete`)."""
    own = [table for table, key in KEYS.items() if key == "referral_id"]
    wanted = sorted(referrals)
    for start in range(0, len(wanted), 500):
        chunk = wanted[start : start + 500]
        asked = marks(len(chunk))
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            compose("DELETE FROM rows WHERE kind IN ({own}) AND key IN ({asked})", own=marks(len(own)), asked=asked),
            (*own, *chunk),
        )
        held = compose(
            "SELECT DISTINCT key FROM rows WHERE kind = 'content' AND CAST(body AS TEXT) IN ({asked})", asked=asked
        )
        contents = connection.execute(held, chunk).fetchall()
        connection.execute(
            compose(
                """DELETE FROM rows WHERE kind IN ('supplement', 'file_id', 'content')
                   AND CAST(body AS TEXT) IN ({asked})""",
                asked=asked,
            ),
            chunk,
        )
        connection.executemany(
            """DELETE FROM rows WHERE kind = 'fingerprints' AND key = ?1
               AND NOT EXISTS (SELECT 1 FROM rows WHERE kind = 'content' AND key = ?1)""",
            contents,
        )
        connection.execute(compose("DELETE FROM terms WHERE referral IN ({asked})", asked=asked), chunk)
        connection.execute("COMMIT")


def _name(part: Part) -> str:
    """A part's name in the lake: parts of one commit have one file name, in the folder of each table."""
    return part.name


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA secure_delete = ON")
    if connection.execute("PRAGMA user_version").fetchone()[0] != _FORMAT:
        connection.executescript(each("DROP TABLE IF EXISTS {name};", (*_KEPT, "parts", "taken"), " "))
        connection.execute(compose("PRAGMA user_version = {format}", format=_FORMAT))
    connection.executescript(_SCHEMA)


def _entries(table: str, rows: list[dict[str, Any]], part: int) -> Iterator[tuple[str, str, int, bytes]]:
    """What is stored of each row: itself under its key, a file also by its content."""
    as_json = [name for name, spec in records.describe(table)["properties"].items() if spec.get("x-json")]
    for row in rows:
        text = _key(table, row)
        if text is None:
            continue
        for name in as_json:
            if row[name] is not None:
                row[name] = orjson.loads(row[name])
        yield table, text, part, orjson.dumps(row, default=_hex)
        if table == "referrals" and row["supplements"]:
            yield "supplement", row["supplements"], part, row["referral_id"].encode()
        elif table == "fingerprints":
            for name in COMPUTED:
                if row[name] is not None:
                    yield "hash", f"{name}:{_hex(row[name])}", part, row["sha256"].hex().encode()
        elif table == "media_files":
            yield "file_id", row["file_id"], part, row["referral_id"].encode()
            for digest in {row["sha256"], row["claimed_sha256"]} - {None}:
                yield "content", digest.hex(), part, row["referral_id"].encode()


def _key(table: str, row: dict[str, Any]) -> str | None:
    """The key of a row; a stated digest belongs to its file, there is no content."""
    key = row["file_id"] if table == "matches" and row["file_id"] else row[KEYS[table]]
    return key.hex() if isinstance(key, bytes) else key


def _hex(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} has no JSON form here")
