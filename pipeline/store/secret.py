"""The installation's secret: signs audit anchors and what the console signs. Made at first use, readable by its owner only."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from pipeline import files
from pipeline.errors import SettingsError
from pipeline.settings import Settings

LEAST = 32
"""Bytes that a secret has at least."""


def load(settings: Settings) -> bytes:
    """The secret's bytes. Raises SettingsError when a configured file is missing, unreadable or too short."""
    path = settings.secret_file or settings.home / "secret"
    if settings.secret_file is None:
        _make(path)
    try:
        value = path.read_bytes().strip()
    except OSError as error:
        raise SettingsError(f"The secret file cannot be read: {error.strerror}.", "See TRIAGE_SECRET_FILE.") from error
    if len(value) < LEAST:
        raise SettingsError(f"The secret file holds fewer than {LEAST} bytes.", "Fill it with random bytes.")
    return value


def derive(settings: Settings, purpose: str) -> bytes:
    """A key of 32 bytes for one purpose, so that no two uses share a key."""
    return hmac.new(load(settings), purpose.encode(), hashlib.sha256).digest()


def _make(path: Path) -> None:
    """Make the file complete or not at all: two processes that start together agree on one secret."""
    if path.exists():
        return
    files.make_folder(path.parent)
    temporary = path.with_name(f"{files.TEMPORARY}{os.getpid()}-{path.name}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(LEAST))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # the other process was first: its secret counts
            os.link(temporary, path)
    finally:
        temporary.unlink()
    files.sync_folder(path.parent)
