"""In which row groups of a part the rows of some keys are, so that looking up a few keys reads what holds them and no more.

    HOME/cache/lake/<sha256 of the part>.<column>.keys

One number for each key and row group: the upper 48 bits are a digest of the key, the lower 16 the group. A file follows from its
part alone and has the SHA-256 of its content at its beginning; it can be thrown away at any time and is made again when it is
missed or is not what was written. Two keys that share a digest cost a group that is read for nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline import files
from pipeline.lake.kept import remove_others

LEAST = 1_000
"""Rows from which a part has such a file; a smaller one is read as it is."""
LOOKED_UP: dict[str, tuple[str, ...]] = {
    "packages": ("package_id", "referral_id", "container"),
    "referrals": ("referral_id", "source_reference", "supplements", "source"),
    "media_files": ("referral_id", "sha256", "file_id"),
    "fingerprints": ("sha256",),
    "matches": ("sha256", "file_id"),
    "links": ("link_id", "left", "right", "kind"),
    "assessments": ("case_id",),
    "subjects": ("referral_id", "subject_id"),
    **dict.fromkeys(("facts", "identifiers", "narratives"), ("referral_id",)),
}
"""Columns by which a night asks, by table: their files are made with the part, by who writes it, so that no night pays for what was
merged before it. Those of other columns are made when a part is first asked for them."""
GROUPS = 1 << 16
SUFFIX = ".keys"
_LOW = np.uint64(GROUPS - 1)
_ODD = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


class KeyFiles:
    """The files of one lake in a folder; without a folder they are kept in memory, as where it cannot be written."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._held: dict[tuple[str, str], NDArray[np.uint64]] = {}
        self._asked: tuple[pa.Array | None, pa.DataType | None, NDArray[np.uint64]] = None, None, np.zeros(0, np.uint64)

    def tells(self, file: pq.ParquetFile, column: str) -> bool:
        """Whether there is such a file of a column: then a group that it names holds a wanted value, but for a chance of digests."""
        few = file.metadata.num_rows < LEAST or file.num_row_groups > GROUPS
        return not few and _fit(file.schema_arrow.field(column).type)

    def groups(self, sha256: str, file: pq.ParquetFile, column: str, wanted: pa.Array) -> list[int]:
        """The row groups of a part that may hold one of the wanted values in a column, ascending; all of a part that is
        small, or of which no such file is made."""
        if not self.tells(file, column):
            return list(range(file.num_row_groups))
        if not len(wanted):
            return []
        held = self._entries(sha256, file, column)
        asked = self._digests(wanted, file.schema_arrow.field(column).type)
        begins, ends = np.searchsorted(held, asked), np.searchsorted(held, asked | _LOW, side="right")
        there = begins < ends
        found = [held[a:b] & _LOW for a, b in zip(begins[there], ends[there], strict=True)]
        return [int(group) for group in np.unique(np.concatenate(found))] if found else []

    def _digests(self, wanted: pa.Array, kind: pa.DataType) -> NDArray[np.uint64]:
        """Digests of the wanted values, each once, ascending: worked out once for all parts that one look-up asks."""
        array, of, digests = self._asked
        if array is not wanted or of != kind:
            digests = np.unique(hashed(wanted.drop_null().cast(kind)) & ~_LOW)
            self._asked = wanted, kind, digests
        return digests

    def prepare(self, table: str, sha256: str, content: pa.Buffer) -> None:
        """Make the files of a part that is being written, of the columns that nights ask for."""
        file = pq.ParquetFile(pa.BufferReader(content))
        if self.folder is None or file.metadata.num_rows < LEAST or file.num_row_groups > GROUPS:
            return
        for column in LOOKED_UP.get(table, ()):
            if column in file.schema_arrow.names and _fit(file.schema_arrow.field(column).type):
                self._entries(sha256, file, column)
                del self._held[sha256, column]  # who writes a part does not ask it

    def keep(self, parts: Collection[str]) -> int:
        """Remove the files of parts that are not among these (SHA-256); returns how many."""
        self._held = {key: held for key, held in self._held.items() if key[0] in parts}
        return remove_others(self.folder, SUFFIX, parts)

    def _entries(self, sha256: str, file: pq.ParquetFile, column: str) -> NDArray[np.uint64]:
        if (sha256, column) not in self._held:
            path = None if self.folder is None else self.folder / f"{sha256}.{column}{SUFFIX}"
            data = None if path is None else files.read_sealed(path)
            held = None if data is None or len(data) % 8 else np.frombuffer(data, np.uint64)
            if held is None:
                held = _made(file, column)
                if (
                    path is not None
                ):  # where it cannot be written it stays in memory, and costs the next process its making
                    files.write_sealed(path, held.tobytes())
            self._held[sha256, column] = held
        return self._held[sha256, column]


def _made(file: pq.ParquetFile, column: str) -> NDArray[np.uint64]:
    found = []
    for group in range(file.num_row_groups):
        values = file.read_row_group(group, columns=[column])[column].combine_chunks()
        found.append((hashed(values) & ~_LOW) | np.uint64(group))
    return np.unique(np.concatenate(found)) if found else np.zeros(0, np.uint64)


def _fit(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind))


def hashed(values: pa.Array) -> NDArray[np.uint64]:
    """A digest of 64 bits of each value (text or bytes): a polynomial of its bytes, mixed; nulls have that of no bytes. It
    is the same on every machine and in every version of the libraries, but keeps nobody from making two values agree."""
    plain = values.cast(pa.binary()).cast(pa.large_binary())
    offsets = np.frombuffer(plain.buffers()[1], np.int64)[plain.offset : plain.offset + len(plain) + 1]
    if not len(plain):
        return np.zeros(0, np.uint64)
    data = (
        np.frombuffer(plain.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
        if plain.buffers()[2]
        else np.zeros(0, np.uint8)
    )
    starts = offsets - offsets[0]
    lengths = np.diff(starts)
    powers = np.full(int(lengths.max()) + 1, _ODD, np.uint64).cumprod(dtype=np.uint64)  # overflow wraps, as is meant
    terms = data.astype(np.uint64) + np.uint64(1)
    if lengths.min() == lengths.max():  # ids and digests: none has to be told from the next
        sums = terms.reshape(len(plain), int(lengths[0])) @ powers[: lengths[0]]
    else:
        places = np.arange(len(data)) - np.repeat(starts[:-1], lengths)
        ends = np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms * powers[places])])
        sums = ends[starts[1:]] - ends[starts[:-1]]
    mixed: NDArray[np.uint64] = sums * _ODD
    mixed ^= mixed >> _SHIFT
    mixed *= _ODD
    mixed ^= mixed >> _SHIFT
    return mixed
