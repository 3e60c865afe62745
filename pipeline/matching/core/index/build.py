"""Building, extending and compacting an index. All three write a new folder and never change an old one.

Hashes are streamed to disk; the tables of a segment are made two at a time when it is full (`tables.py`). Peak memory
is a batch and 16 bytes for each of at most 16.7 million rows, about 270 MB whatever the size of the store (400 MB if all
hashes agree in eight bits), beside mapped pages that the system can drop; hashes that many known media share (`shared.py`) take as much again
at most. Compacting holds 8 bytes more for each hash of the segment that it reads, whose last chunks it makes first (`reduced.py`).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import files
from pipeline.errors import UsageError
from pipeline.matching.core.compiled.jit import Compilation
from pipeline.matching.core.groups import stored
from pipeline.matching.core.groups.finding import LEAST, Candidates, Members, find
from pipeline.matching.core.index import canaries, reduced, tables
from pipeline.matching.core.index.layout import FEW, IndexForm, algorithm, as_hashes, as_ids, to_chunks
from pipeline.matching.core.index.manifest import CHANGING, GROUP_CHUNKS, MOST_ROWS, Array, Manifest, Segment
from pipeline.matching.core.index.shared import Alike
from pipeline.matching.core.index.store import Index, MappedSegment, check_machine, open_index
from pipeline.matching.core.index.tables import File, IdFiles, ReducedFile

SEGMENT_ROWS = MOST_ROWS - canaries.GROUPED
"""Rows with which a segment is full, canaries of its tables included."""

STEP = 2**14
"""Hashes taken at a time: what is done to them finds them in the caches."""

KnownBatch = tuple[Any, Any]
"""Ids (int64, >= 0) and hashes (uint8 (n, width), or an Arrow column of binary) of some known media."""


class _Part:
    """A segment that is being filled, at a position among those of the index."""

    def __init__(self, folder: Path, position: int, chunks: int) -> None:
        self.name, self.position = f"segment-{position:04d}", position
        (folder / self.name).mkdir()
        self.folder = folder / self.name
        self.hashes = (self.folder / "hashes").open(
            "wb"
        )  # as they come, until the segment is full and its tables are made of them
        self.ids = IdFiles(self.folder)
        self.reduced = ReducedFile(self.folder / "reduced.u16", chunks)
        self.rows = 0
        self.counts = np.zeros((chunks, 256), np.int64)
        self.candidates = Candidates() if chunks == GROUP_CHUNKS else None

    def write(self, ids: NDArray[np.int64], chunks: NDArray[np.uint16]) -> None:
        chunks = np.ascontiguousarray(chunks)
        self.hashes.write(chunks.data)
        self.reduced.write(chunks)
        self.ids.write(ids)
        if self.candidates is not None:
            self.candidates.add(chunks, self.rows)
        tables.count(chunks, self.counts)

    def groups(self) -> Members | None:
        """The groups of near-identical hashes among those that came; None where there are none."""
        self.hashes.flush()
        if self.candidates is None or not self.rows:
            return None
        return find(self.candidates.rows, self._whole(self.rows))

    def arrays(self, total: int, members: Members | None) -> dict[str, Array]:
        """Write the tables of the `total` hashes that came, and the groups that are in none of them; returns all arrays."""
        self.hashes.close()
        arrays = {"reduced.u16": self.reduced.close(), **self.ids.close()}
        whole = self._whole(total)
        left_out = np.zeros(0, np.int64)
        if members is not None:
            left_out = np.sort(members.rows)
            arrays |= stored.write(self.folder, members, self._ids_of(members.rows, total), whole)
            own = np.zeros_like(self.counts)
            for start in range(0, len(members.rows), STEP):
                tables.count(whole[members.rows[start : start + STEP]], own)
            self.counts -= own
        runs = np.stack([np.append(0, left_out + 1), np.append(left_out, total)], axis=1)
        arrays |= tables.write(self.folder, whole, self.counts, runs[runs[:, 0] < runs[:, 1]])
        (self.folder / "hashes").unlink()
        return arrays

    def _ids_of(self, rows: NDArray[np.int64], total: int) -> NDArray[np.int64]:
        short, blocks = (
            np.memmap(self.folder / "ids.u8", np.uint8, "r"),
            np.memmap(self.folder / "blocks.i64", np.int64, "r"),
        )
        return reduced.ids_of(short, blocks[: 2 * -(-total // reduced.BLOCK)].reshape(-1, 2), rows)

    def _whole(self, rows: int) -> NDArray[np.uint16]:
        whole: NDArray[np.uint16] = np.memmap(self.folder / "hashes", np.uint16, "r").reshape(rows, len(self.counts))
        return whole


class _Writer:
    """Takes hashes in their stored order and writes segments of at most SEGMENT_ROWS rows into `folder`.

    The first of them is at position `first` of the index, and its first shared hash has the number `numbered`.
    """

    def __init__(self, folder: Path, form: IndexForm, first: int = 0, numbered: int = 0) -> None:
        self.folder, self.form = folder, form
        self.segments: list[Segment] = []
        self._part: _Part | None = None
        self._begun = first
        self._alike = Alike(form.chunks)
        self._numbered = numbered

    def add(self, ids: NDArray[np.int64], chunks: NDArray[np.uint16]) -> None:
        room = SEGMENT_ROWS - self.form.chunks
        ids, chunks = self._alike.sift(ids, chunks)
        if self._alike.full(room - STEP):
            self._finish_shared()
        while len(ids):
            part = self._part = self._part or self._open()
            take = min(room - part.rows, len(ids))
            part.write(ids[:take], chunks[:take])
            part.rows += take
            ids, chunks = ids[take:], chunks[take:]
            if part.rows == room:
                self._finish_plain(part)

    def close(self, at_least_one: bool) -> None:
        """Finish the last segment; with `at_least_one` an empty index still gets one, for its canaries."""
        if self._part is not None:
            self._finish_plain(self._part)
        if self._alike.count:
            self._finish_shared()
        if at_least_one and not self.segments:
            self._finish(self._open())
        self.segments.sort(key=lambda s: s.name)

    def _open(self) -> _Part:
        self._begun += 1
        return _Part(self.folder, self._begun - 1, self.form.chunks)

    def _finish_plain(self, part: _Part) -> None:
        self._finish(part)
        self._part = None
        self._alike.forget()

    def _finish_shared(self) -> None:
        chunks, starts, holders = self._alike.taken()
        part = self._open()
        part.write(np.arange(self._numbered, self._numbered + len(chunks)), chunks)
        part.rows = len(chunks)
        self._numbered += part.rows
        self._finish(part, {"starts.i64": starts, "holders.i64": holders})

    def _finish(self, part: _Part, shared: dict[str, NDArray[np.int64]] | None = None) -> None:
        name = part.name
        own = to_chunks(canaries.hashes(name, self.form.width))
        members = part.groups()
        if members is not None:
            own = np.concatenate([own, to_chunks(canaries.grouped(name, self.form.width))])
            members = members.and_canaries(part.rows + self.form.chunks, own[self.form.chunks :])
        part.write(canaries.ids(part.position, len(own)), own)
        total = part.rows + len(own)
        arrays = part.arrays(total, members)
        for other, values in (shared or {}).items():
            file = File(self.folder / name / other)
            file.write(values)
            arrays[other] = file.close()
        holders = len(shared["holders.i64"]) if shared else 0
        counts = (0, 0, 0) if members is None else (len(members.reach), len(members.rows), members.tiles)
        segment = Segment(name, part.rows, len(own), 0, "", arrays, holders, 0, *counts)
        nothing = np.zeros(total, bool), np.zeros(holders, bool)
        self.segments.append(_with_tombstones(self.folder, segment, *nothing, f"{name}-0.dead"))
        files.sync_folder(self.folder / name)


def _with_tombstones(
    folder: Path, segment: Segment, dead: NDArray[np.bool_], gone: NDArray[np.bool_], name: str
) -> Segment:
    """Write the bit map of withdrawn rows under `name`, that of withdrawn ids beside it, and return the segment that uses them."""
    named = replace(segment, tombstones=name, dead=int(dead.sum()), gone=int(gone.sum()))
    arrays = dict(segment.arrays)
    for array, bits in (("dead", dead), ("gone", gone)) if segment.holders else (("dead", dead),):
        file = File(folder / named.place(array))
        file.write(np.packbits(np.pad(bits, (0, -len(bits) % 64)), bitorder="little"))
        arrays[array] = file.close()
    return replace(named, arrays=arrays)


class _Folder:
    """A new index folder that appears under its name only when it is complete."""

    def __init__(self, folder: Path) -> None:
        self.final = Path(folder)
        self.temporary = self.final.parent / f"{files.TEMPORARY}{os.getpid()}-{self.final.name}"

    def __enter__(self) -> Path:
        check_machine()
        if self.final.exists():
            raise UsageError(f"{self.final.name} exists already.", "An index is never changed: name a new folder.")
        files.make_folder(self.final.parent)
        self.temporary.mkdir()
        return self.temporary

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            shutil.rmtree(self.temporary, ignore_errors=True)
            return
        files.sync_folder(self.temporary)
        self.temporary.rename(self.final)
        files.sync_folder(self.final.parent)


def _manifest(form: IndexForm, hasher_version: str, release: str, segments: list[Segment]) -> Manifest:
    return Manifest(
        algorithm=form.name,
        hasher_version=hasher_version,
        release=str(release),
        rows=sum(s.known for s in segments),
        bytes=sum(a.bytes for s in segments for a in s.arrays.values()),
        segments=tuple(segments),
    )


def _batches(batches: Iterable[KnownBatch], form: IndexForm) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint16]]]:
    for ids, hashes in batches:
        values = as_hashes(hashes, form.width)
        keys = as_ids(ids, len(values))
        if len(keys) and int(keys.min()) < 0:
            raise UsageError(
                "A known id is negative.", "Ids of known media are 0 or more; negative ones mark canaries."
            )
        for start in range(0, len(keys), STEP):
            yield keys[start : start + STEP], to_chunks(values[start : start + STEP])


def build_index(
    batches: Iterable[KnownBatch], folder: Path, *, algorithm: str, hasher_version: str, release: str
) -> Manifest:
    """Write an index of known hashes to the new folder `folder` and return its manifest.

    `batches` yields (ids int64 (n,), hashes uint8 (n, width) or an Arrow binary column); it is read once. The same id
    may come with several hashes. Raises UsageError when the folder exists, an id is negative or a width is wrong.
    """
    form = _form(algorithm)
    with _Folder(folder) as place:
        writer = _Writer(place, form)
        for ids, chunks in _batches(batches, form):
            writer.add(ids, chunks)
        writer.close(at_least_one=True)
        return _manifest(form, hasher_version, release, writer.segments).write(place)


def warm_build(algorithm: str) -> float:
    """Compile what building needs, or load it from the cache; returns the seconds it took.

    A build does so by itself; this tells the seconds apart.
    """
    with Compilation() as compilation, tempfile.TemporaryDirectory(prefix="warm-") as place:
        width = _form(algorithm).width
        to_chunks(np.zeros((FEW + 1, width), np.uint8))
        # Enough hashes, a bit apart from each other, for a group.
        near = np.packbits(np.eye(8 * width, dtype=np.uint8)[: 2 * LEAST], axis=1)
        batch = (np.arange(len(near)), near)
        build_index([batch], Path(place) / "index", algorithm=algorithm, hasher_version="", release="")
    return compilation.seconds


def extend_index(
    folder_old: Path, folder_new: Path, added: Iterable[KnownBatch], withdrawn: Any, *, release: str
) -> Manifest:
    """Write an index that is an old one, less the withdrawn ids, plus one segment of added hashes.

    The old segments are shared (hard links where the file system has them). `withdrawn` is int64 (k,); ids that the old
    index does not hold are ignored, an id that is withdrawn and added is replaced. Raises as `build_index` does.
    """
    old = open_index(folder_old)
    gone = np.unique(as_ids(withdrawn, len(withdrawn)))
    with _Folder(folder_new) as place:
        segments = [_share(old, k, place, gone, str(release)) for k in range(len(old.segments))]
        writer = _Writer(place, old.form, len(segments), sum(s.segment.rows for s in old.shared))
        for ids, chunks in _batches(added, old.form):
            writer.add(ids, chunks)
        writer.close(at_least_one=False)
        return _manifest(old.form, old.manifest.hasher_version, release, segments + writer.segments).write(place)


def _share(old: Index, position: int, place: Path, gone: NDArray[np.int64], release: str) -> Segment:
    mapped = old.segments[position]
    segment = mapped.segment
    (place / segment.name).mkdir()
    for name in segment.arrays:
        if name not in CHANGING:
            _link(mapped.folder / segment.place(name), place / segment.place(name))
    files.sync_folder(place / segment.name)
    dead = np.unpackbits(np.asarray(mapped.dead), count=segment.total, bitorder="little").astype(bool)
    left = np.zeros(0, bool)
    if mapped.holders is None:
        dead |= np.isin(mapped.all_ids(), gone)
    else:
        left = mapped.holders.gone | np.isin(mapped.holders.ids, gone)
        dead[: segment.rows] = np.logical_and.reduceat(left, mapped.holders.starts[:-1])
    dead[segment.rows :] = False  # canaries are never withdrawn
    return _with_tombstones(place, segment, dead, left, f"{segment.name}-{len(old.segments)}.dead")


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
        with target.open("rb") as file:
            os.fsync(file.fileno())


def _in_force(mapped: MappedSegment) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint16]]]:
    """Ids and hashes of what is not withdrawn, in steps."""
    if mapped.holders is not None:
        starts, ids = mapped.holders.in_force()
        for start in range(0, len(ids), STEP):
            stop = min(start + STEP, len(ids))
            row = np.searchsorted(starts, np.arange(start, stop), "right") - 1
            yield np.asarray(ids[start:stop]), mapped.chunks(int(row[0]), int(row[-1]) + 1)[row - row[0]]
        return
    rows = mapped.segment.rows
    for start in range(0, rows, STEP):
        stop = min(start + STEP, rows)
        bits = np.asarray(mapped.dead[start // 8 : (stop + 7) // 8])
        alive = np.unpackbits(bits, count=stop - start, bitorder="little") == 0
        yield mapped.ids_of(np.arange(start, stop))[alive], mapped.chunks(start, stop)[alive]


def compact_index(folder_old: Path, folder_new: Path) -> Manifest:
    """Write an index of the same known hashes in as few segments as they need, without what was withdrawn.

    Raises as `build_index` does, and IntegrityError when the old index was altered.
    """
    old = open_index(folder_old)
    old.ensure_checked()
    with _Folder(folder_new) as place:
        writer = _Writer(place, old.form)
        for mapped in old.segments:
            for ids, chunks in _in_force(mapped):
                writer.add(ids, chunks)
            mapped.forget()
        writer.close(at_least_one=True)
        return _manifest(old.form, old.manifest.hasher_version, old.manifest.release, writer.segments).write(place)


def _form(name: str) -> IndexForm:
    return algorithm(name)
