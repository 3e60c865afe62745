"""Whose turn it is to write: a line for SQLite's one writer, handed on at once.

SQLite lets one transaction write at a time, and who finds it taken asks again after ever longer sleeps (up to 100 ms).
Here the threads of a process wait for a lock, and the processes of a console for a file lock, so that the next one
starts the moment the one before ends. Other writers (the night, the command line) still meet SQLite's own lock.
"""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from sqlalchemy.orm import Session

from pipeline import files
from pipeline.store.opening import Store


class Writers:
    """The line before one store. `folder` holds the lock file, shared by all processes of the console."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self._thread = threading.Lock()
        self._path = folder / "writer.lock"
        if store.dialect == "sqlite":
            files.make_folder(folder)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """`Store.session` in one's turn. PostgreSQL needs no line."""
        with self._turn() if self.store.dialect == "sqlite" else nullcontext(), self.store.session() as session:
            yield session

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with self._thread, self._path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
