"""Known-hash releases: open the current or an old one, look hashes up, describe media, say what changed.

    releases/<number>/hashsets.duckdb, index/<algorithm>/, manifest.json
    releases/<number>.json     seal: SHA-256 of the manifest, written when the release is published
    releases/CURRENT           pointer: number and manifest SHA-256

A reader holds the release it opened; publishing another one does not touch it. Each answer can be repeated from
the same release for as long as it is kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hashsets.algorithms import ALL
from hashsets.release import finding, manifest
from hashsets.release.finding import algorithm_named
from hashsets.release.tables import connect_read_only
from pipeline import files
from pipeline.errors import IntegrityError, UsageError
from pipeline.settings import Settings

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

POINTER = "CURRENT"
DATABASE = "hashsets.duckdb"

DESCRIBED = (
    "grade", "category", "sources", "victim_identified", "offender_identified", "distributed", "series", "tags",
)  # fmt: skip
"""What matches and answers carry of the description of a media item."""


@dataclass(frozen=True)
class Pointer:
    """Which release is current, and the SHA-256 (hex) of its manifest."""

    number: int
    manifest_sha256: str


def pointer(settings: Settings) -> Pointer | None:
    """The published pointer, or None when nothing was published yet. Raises IntegrityError when it is damaged."""
    return _read_pointer(settings.releases_dir / POINTER)


def _read_pointer(path: Path) -> Pointer | None:
    try:
        raw = path.read_bytes()
        data = json.loads(raw)
        found = Pointer(int(data["release"]), str(data["manifest_sha256"]))
        if raw != files.json_bytes({"release": found.number, "manifest_sha256": found.manifest_sha256}):
            raise ValueError("not as it was written")
        return found
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"{path.name} in the releases folder is damaged.", "`triage hashset publish` writes it anew."
        ) from error


def exists(settings: Settings) -> bool:
    """Whether a release was ever published."""
    return pointer(settings) is not None


def current(settings: Settings) -> Release:
    """The published release, verified. Raises UsageError when there is none, IntegrityError when it is damaged."""
    found = pointer(settings)
    if found is None:
        raise UsageError("There is no known-hash release yet.", "Import a hash set: `triage hashset import`.")
    return opened(settings, found)


def open_release(settings: Settings, number: int) -> Release:
    """A release that was published and is kept, verified. Raises UsageError if it is not there, IntegrityError if damaged."""
    found = _read_pointer(settings.releases_dir / f"{number}.json")
    newest = pointer(settings)
    if found is None or newest is None or number > newest.number or not (settings.releases_dir / str(number)).is_dir():
        raise UsageError(f"Release {number} is not kept here.", "`triage hashset releases` lists those that are.")
    if found.number != number:
        raise IntegrityError(f"The seal of release {number} names another one.", "Restore it from a backup.")
    return opened(settings, found)


def opened(settings: Settings, found: Pointer) -> Release:
    """The release of that number and manifest, verified. Raises IntegrityError when it is not what the pointer says."""
    folder = settings.releases_dir / str(found.number)
    content = manifest.verified(folder, found.manifest_sha256, settings.thread_count)
    if content.get("release") != found.number:
        raise IntegrityError(f"Release {found.number} holds another release.", "Restore it from a backup.")
    return Release(settings, found.number, folder, content)


@dataclass(frozen=True)
class Release:
    """One verified release. `manifest` has its counts, SHA-256 of every file, and versions."""

    settings: Settings
    number: int
    folder: Path
    manifest: dict[str, Any]

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A read-only, locked connection to its tables. The caller closes it."""
        return connect_read_only(self.folder / DATABASE, self.settings)

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """For several questions one after the other: each opens a connection, and the first takes as long as a question."""
        with closing(self.connect()):
            yield

    def index_dir(self, algorithm: str) -> Path:
        """Folder of the matching index. Raises UsageError when the release has none for `algorithm`."""
        folder = self.folder / "index" / algorithm
        if not folder.is_dir():
            have = ", ".join(self.indexes) or "none"
            raise UsageError(f"Release {self.number} has no index for {algorithm}.", f"It has: {have}.")
        return folder

    @property
    def indexes(self) -> list[str]:
        """Algorithms that have a matching index."""
        return sorted(self.manifest["indexes"])

    def hasher_version(self, algorithm: str) -> str:
        """Version of the hashing rules that the index of `algorithm` was built for."""
        return str(self.manifest["hasher_versions"][algorithm_named(algorithm).name])

    def exact(self, queries: pa.Table, *, among: Any = None, withdrawn: bool = False) -> pa.Table:
        """Media that hold the queried values (`among`: only these media keys).

        `queries`: query_id int64 (>= 0), algorithm string, value binary of the algorithm's width. Returns query_id,
        media_key, algorithm, ordered. Withdrawn media only with `withdrawn`. Canaries are asked along and never
        returned. Raises UsageError for an unknown algorithm or a value of the wrong width, CanaryError when the
        store misses what it must find.
        """
        from hashsets.release import asked  # loads Arrow, as below

        with closing(self.connect()) as con:
            return asked.exact(con, queries, among, withdrawn=withdrawn)

    def exact_few(self, queries: Sequence[tuple[int, str, bytes]]) -> list[tuple[int, str, int]]:
        """The same for a few values, (query id, algorithm, value) each, none of an opaque algorithm: (query id, algorithm,
        media key) of media that are not withdrawn, in that order. Raises what `exact` raises."""
        with closing(self.connect()) as con:
            return finding.exact_few(con, queries)

    def describe(self, media_keys: Any) -> pa.Table:
        """Standing of media: grade, category, votes, sources, raw_categories, victim_identified, offender_identified,
        distributed (yes, no, unknown, disputed), series, tags, alert, benign. One row per distinct key that exists,
        ordered by media_key.
        """
        from hashsets.release import asked

        with closing(self.connect()) as con:
            return asked.describe(con, media_keys, int(self.manifest["trusted_votes"]))

    def describe_few(self, media_keys: Iterable[int]) -> list[dict[str, Any]]:
        """The same rows as those of `describe`, for a few media."""
        with closing(self.connect()) as con:
            return finding.describe_few(con, media_keys, int(self.manifest["trusted_votes"]))

    def delta(self, since: int) -> pa.Table:
        """What changed after release `since` (0: everything): media_key, change (new, withdrawn, regraded), alert,
        grade, category, grade_before; one row per media, ordered.

        `new` is a media that matches now and did not, or has gained a hash; what came and went in between is absent.
        """
        with closing(self.connect()) as con:
            return con.sql(_DELTA, params={"since": since}).to_arrow_table()

    def hashes(self, algorithm: str, media_keys: Any) -> pa.Table:
        """All values of an algorithm of the given media: media_key int64, value binary; ordered by media_key, value."""
        from hashsets.release import asked

        with closing(self.connect()) as con:
            return asked.hashes(con, algorithm, media_keys)

    def hashes_few(self, algorithm: str, media_keys: Iterable[int]) -> dict[int, list[bytes]]:
        """The values of a few media by media key, in the order of `hashes`."""
        with closing(self.connect()) as con:
            return finding.hashes_few(con, algorithm, media_keys)


_DELTA = """
    WITH touched AS (
        SELECT media_key, arg_min(grade_before, release) AS grade_before, bool_or(change = 'new') AS gained
        FROM change WHERE release > $since GROUP BY media_key),
    every AS (
        SELECT m.*, t.grade_before, coalesce(t.gained, false) AS gained, m.first_release > $since AS fresh
        FROM media m LEFT JOIN touched t USING (media_key)
        WHERE (m.first_release > $since OR t.media_key IS NOT NULL) AND m.media_key >= 0)
    SELECT media_key,
           CASE WHEN grade = 'WITHDRAWN' THEN 'withdrawn' WHEN fresh OR gained THEN 'new' ELSE 'regraded' END AS change,
           alert, grade, category, CASE WHEN fresh THEN NULL ELSE grade_before END AS grade_before
    FROM every
    WHERE NOT (grade = 'WITHDRAWN' AND (fresh OR grade_before = 'WITHDRAWN'))
    ORDER BY media_key"""


def sizes(release: Release) -> dict[str, int]:
    """Rows by hash algorithm, without canaries."""
    return {a.name: int(release.manifest["counts"][a.table]) for a in ALL}
