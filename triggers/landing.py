"""Watches a folder for new complete files and reports each change of the set once."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from pipeline import logs
from pipeline.errors import DependencyError
from pipeline.night import marks
from pipeline.settings import Settings


class LandingTrigger(BaseEventTrigger):
    """Fires when the set of files below `folder` has changed and has then been still for one more look.

    With `mark`, the state of the folder that was imported last (`pipeline/night/marks.py`) is where it starts from.
    The event says how many files there are and carries a digest of their names, sizes and times: names themselves stay
    out of Airflow's database. Nothing is opened, moved or deleted.
    """

    def __init__(self, folder: str, seconds: float = 30.0, mark: str = "") -> None:
        super().__init__()
        self.folder = folder
        self.seconds = seconds
        self.mark = mark

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "triggers.landing.LandingTrigger", {"folder": self.folder, "seconds": self.seconds, "mark": self.mark}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        # what was imported last is no change: a restart of the triggerer starts nothing
        reported = await self._imported() if self.mark else ""
        previous = ""
        while True:
            digest, count = await asyncio.to_thread(look, Path(self.folder))
            if count and digest == previous and digest != reported:
                reported = digest
                yield TriggerEvent({"files": count, "digest": digest})
            previous = digest
            await asyncio.sleep(self.seconds)

    async def _imported(self) -> str:
        """The mark; a case store that is away is asked again, since a trigger that ends in an error watches nothing."""
        while True:
            try:
                return await asyncio.to_thread(marks.get, Settings.load(), self.mark)
            except DependencyError as error:
                logs.get("landing").warning("the case store does not answer", reason=error.message)
                await asyncio.sleep(self.seconds)


def look(folder: Path) -> tuple[str, int]:
    """Digest of names, sizes and times of the regular files below `folder`, and how many there are: none while something goes
    there as it is looked at, which the next look will tell."""
    seen = []
    try:
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            if path.is_file() and not path.is_symlink():
                stat = path.stat()
                seen.append(f"{path.relative_to(folder)}\0{stat.st_size}\0{stat.st_mtime_ns}")
    except FileNotFoundError:
        return "", 0
    return hashlib.sha256("\n".join(seen).encode("utf-8", "surrogateescape")).hexdigest(), len(seen)
