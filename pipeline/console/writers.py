"""Whose turn it is to write: a line for SQLite's one writer, handed on at once.

SQLite lets one transaction write at a time, and who finds it taken asks again after ever longer sleeps (up to 100 ms).
Here the threads of a process wait for a lock, and the processes of a console for a file lock, so that the next one
starts the moment the one before ends. Other writers (the night, the command line) still meet SQLite's own lock.
"""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO

from sqlalchemy.orm import Session

from pipeline import files
from pipeline.errors import BusyError
from pipeline.store.opening import Store

PATIENCE_SECONDS = 5.0
"""How long one waits for a turn: many times as long as a console's own transactions take."""
_AGAIN_SECONDS = 0.002


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
        """`Store.session` in one's turn. PostgreSQL needs no line. Raises BusyError when the turn does not come."""
        with self._turn() if self.store.dialect == "sqlite" else nullcontext(), self.store.session() as session:
            yield session

    @contextmanager
    def _turn(self) -> Iterator[None]:
        end = time.monotonic() + PATIENCE_SECONDS
        if not self._thread.acquire(timeout=PATIENCE_SECONDS):
            raise _busy()
        try:
            with self._path.open("w") as lock:
                _take(lock, end)
                yield
        finally:
            self._thread.release()


def _take(lock: IO[str], end: float) -> None:
    """Take the lock between processes. Raises BusyError when it is not free by `end` (of time.monotonic)."""
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise _busy() from None
            time.sleep(_AGAIN_SECONDS)
        else:
            return


def _busy() -> BusyError:
    return BusyError("The case store is being written to at this moment.", "Try again in a few seconds.")
