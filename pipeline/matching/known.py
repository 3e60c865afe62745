"""The known side of a match: a whole release, or only what a release changed.

Both answer the same three questions, so that the night and retro-matching are one piece of code (`unit.Matcher`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hashsets.release.releases import Release
from pipeline.algorithms import version_of
from pipeline.matching import core
from pipeline.settings import Settings


class KnownSide(Protocol):
    """Known hashes that queries can be put to."""

    release: Release

    def exact(self, queries: pa.Table) -> pa.Table:
        """Digest queries (query_id, algorithm, value) to pairs (query_id, media_key, algorithm)."""
        ...

    def near(self, algorithm: str, hashes: NDArray[np.uint8], *, radius: int, cap: int) -> core.Join | None:
        """All pairs within `radius` of hashes, uint8 (n, width); query ids are positions 0 to n - 1.

        None when the known side has no hash of the algorithm.
        """
        ...

    def hashes(self, algorithm: str, media_keys: pa.Array | pa.ChunkedArray) -> dict[int, list[bytes]]:
        """The known hashes of these media items, by media key."""
        ...


class WholeRelease:
    """Everything that is in force in a release."""

    def __init__(self, release: Release, settings: Settings) -> None:
        self.release = release
        self.threads = settings.thread_count
        self._open: dict[str, core.Index] = {}

    def exact(self, queries: pa.Table) -> pa.Table:
        return self.release.exact(queries)

    def near(
        self, algorithm: str, hashes: NDArray[np.uint8], *, radius: int, cap: int, compiled: bool = True
    ) -> core.Join | None:
        """`compiled`: as in `core.join`; off for look-ups."""
        if algorithm not in self.release.indexes:
            return None
        if algorithm not in self._open:
            self._open[algorithm] = core.open_index(self.release.index_dir(algorithm))
        index = self._open[algorithm]
        return join(index, hashes, radius=radius, cap=cap, threads=self.threads, compiled=compiled)

    def hashes(self, algorithm: str, media_keys: pa.Array | pa.ChunkedArray) -> dict[int, list[bytes]]:
        return grouped(self.release.hashes(algorithm, media_keys))


class ChangedMedia:
    """Only the media items that a release added: a small index of their hashes, built in `folder`."""

    def __init__(self, release: Release, settings: Settings, media_keys: pa.Array, folder: Path) -> None:
        self.release = release
        self.threads = settings.thread_count
        self.media_keys = media_keys
        self.folder = folder
        self._open: dict[str, core.Index] = {}
        self._hashes: dict[str, dict[int, list[bytes]]] = {}
        self._held: dict[str, pa.Table] = {}

    def exact(self, queries: pa.Table) -> pa.Table:
        import pyarrow.compute as pc  # not for a look-up, which does without what is changed

        pieces = []
        for algorithm in pc.unique(queries["algorithm"]).to_pylist():
            if algorithm not in self._held:
                self._held[algorithm] = self.release.hashes(algorithm, self.media_keys)
            held = self._held[algorithm]
            hit = pc.is_in(queries["value"], held["value"].combine_chunks())  # the few that can join, of millions
            asked = queries.filter(pc.and_(hit, pc.equal(queries["algorithm"], algorithm)))
            pieces.append(asked.join(held, "value", join_type="inner").select(["query_id", "media_key", "algorithm"]))
        return pa.concat_tables(pieces) if pieces else queries.select(["query_id"]).slice(0, 0)

    def near(self, algorithm: str, hashes: NDArray[np.uint8], *, radius: int, cap: int) -> core.Join | None:
        known = self.hashes(algorithm, self.media_keys)
        if not known:
            return None
        if algorithm not in self._open:
            pairs = [(key, value) for key, values in sorted(known.items()) for value in values]
            width = hashes.shape[1]
            ids = np.array([key for key, _ in pairs], np.int64)
            values = np.frombuffer(b"".join(value for _, value in pairs), np.uint8).reshape(len(pairs), width)
            target = self.folder / algorithm
            core.build_index(
                [(ids, values)],
                target,
                algorithm=algorithm,
                hasher_version=version_of(algorithm),
                release=str(self.release.number),
            )
            self._open[algorithm] = core.open_index(target)
        return join(self._open[algorithm], hashes, radius=radius, cap=cap, threads=self.threads)

    def hashes(self, algorithm: str, media_keys: pa.Array | pa.ChunkedArray) -> dict[int, list[bytes]]:
        if algorithm not in self._hashes:
            self._hashes[algorithm] = grouped(self.release.hashes(algorithm, self.media_keys))
        return self._hashes[algorithm]


def join(
    index: core.Index, hashes: NDArray[np.uint8], *, radius: int, cap: int, threads: int, compiled: bool = True
) -> core.Join:
    """Join with positions as query ids."""
    ids = np.arange(len(hashes), dtype=np.int64)
    return core.join(index, hashes, ids, radius=radius, cap=cap, threads=threads, compiled=compiled)


def grouped(rows: pa.Table) -> dict[int, list[bytes]]:
    """Rows (media_key, value) as media key to its values."""
    found: dict[int, list[bytes]] = {}
    for key, value in zip(rows["media_key"].to_pylist(), rows["value"].to_pylist(), strict=True):
        found.setdefault(key, []).append(value)
    return found
