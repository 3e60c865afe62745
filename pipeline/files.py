"""Writing files so that a reader sees the old content or the new one, never something between.

Used for every published file: write under a temporary name in the same folder, fsync, rename, fsync the folder.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

TEMPORARY = ".tmp-"
"""Prefix of names that no reader looks at; what a killed process left in the lake is swept by a later run."""


class NotRegularError(OSError):
    """What was to be opened is a link, a pipe, a socket, a device or a folder."""


def open_regular(path: str | Path) -> int:
    """Descriptor of a regular file, for reading and for the caller to close. Never waits (a pipe would hold us up), and does
    not follow a link. Raises NotRegularError for anything else than a regular file, OSError when it cannot be opened."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:  # a link; a socket, or a device that is not there
            raise NotRegularError(error.errno, "not a regular file") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotRegularError(errno.EINVAL, "not a regular file")
    return descriptor


def read_regular(path: str | Path) -> bytes:
    """All of a regular file. Raises what `open_regular` raises."""
    with open(open_regular(path), "rb") as file:
        return file.read()


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Create `folder` (and parents) durably."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


@contextmanager
def atomic_writer(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`; on a clean exit it is fsynced and takes the name `path`."""
    make_folder(path.parent)
    temporary = path.parent / f"{TEMPORARY}{os.getpid()}-{threading.get_ident():x}-{path.name}"
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, data: bytes | memoryview[int]) -> None:
    """Replace the content of `path` by `data`, all or nothing."""
    with atomic_writer(path) as file:
        file.write(data)


def append(sink: BinaryIO, source: BinaryIO) -> None:
    """Write the rest of one file behind what was written to another; the system copies the bytes where it can."""
    sink.flush()
    try:
        while os.copy_file_range(source.fileno(), sink.fileno(), _AT_ONCE):
            pass
    except OSError as error:
        if error.errno not in {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}:
            raise
        shutil.copyfileobj(source, sink)  # between such file systems, or under such a sandbox, it does not


_AT_ONCE = 1 << 30
"""Bytes that the system is asked to copy at once; it may copy fewer."""


def write_json(path: Path, value: Any) -> None:
    """Replace `path` by `value` as indented JSON with sorted keys, all or nothing."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """What `write_json` writes."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


SETTLED_NANOSECONDS = 2_000_000_000
"""How long ago a file was changed when its times tell every later change: no clock of a file system is coarser."""
_Identity = tuple[int, int, int, int, int]
_READ: dict[Path, tuple[_Identity, bytes]] = {}


def unchanged(path: Path) -> bytes:
    """The bytes of a small file that is asked for again and again: read anew only where its place on the disk, its size or one
    of its times is another than when it was read. Raises OSError as reading it does."""
    found = path.stat()
    identity = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    held = _READ.get(path)
    if held is not None and held[0] == identity:
        return held[1]
    data = path.read_bytes()
    if time.time_ns() - max(identity[3:]) > SETTLED_NANOSECONDS:
        _READ[path] = (identity, data)
    return data


def finished(folder: Path, pattern: str) -> list[Path]:
    """What matches `pattern` in `folder`, sorted, without what a process has not finished, or was killed before it had."""
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith(TEMPORARY))


def being_written(path: Path) -> bool:
    """Whether the name is that of a temporary file whose writing process lives on this machine."""
    owner = path.name.removeprefix(TEMPORARY).split("-", 1)[0]
    return path.name.startswith(TEMPORARY) and owner.isdigit() and Path(f"/proc/{owner}").exists()


def read_sealed(path: Path) -> memoryview | None:
    """The content of a file of `write_sealed`; None where there is none, or it is not what was written."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    whole = len(data) >= _SEAL and hashlib.sha256(memoryview(data)[_SEAL:]).digest() == data[:_SEAL]
    return memoryview(data)[_SEAL:] if whole else None


def write_sealed(path: Path, content: bytes | memoryview) -> bool:
    """Replace a file that can be made again by its content with the SHA-256 of it before it. Where that cannot be written, because
    somebody may only read or the disk is full, it is left: returns whether it was written."""
    try:
        make_folder(path.parent)
        write_bytes(path, hashlib.sha256(content).digest() + content)
    except OSError:
        return False
    return True


_SEAL = 32
