"""Watches which known-hash release is current, and reports one that was published outside Airflow, by command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from hashsets.release import releases
from pipeline import logs
from pipeline.errors import TriageError
from pipeline.night import marks, sharing
from pipeline.settings import Settings


class ReleaseTrigger(BaseEventTrigger):
    """Fires when the current release has been another than the one announced last for two looks, `seconds` apart.

    What `hashset_refresh` publishes it announces itself and keeps as the mark `marks.RELEASE_ANNOUNCED`; so does retro-matching
    with what it worked on. The second look gives that time.
    """

    def __init__(self, seconds: float = 30.0) -> None:
        super().__init__()
        self.seconds = seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "triggers.releases.ReleaseTrigger", {"seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        fired = previous = 0
        while True:
            try:
                number = await asyncio.to_thread(unannounced, Settings.load())
            except TriageError as error:  # a trigger that ends in an error watches nothing
                logs.get("releases").warning("the current release cannot be told", reason=error.message)
                number = 0
            if number and number == previous and number != fired:
                fired = number
                yield TriggerEvent({"release": number})
            previous = number
            await asyncio.sleep(self.seconds)


def unannounced(settings: Settings) -> int:
    """Number of the current release where nobody has announced it yet, else 0."""
    sharing.bring(settings, ["releases/CURRENT"])
    now = releases.pointer(settings)
    if now is None or marks.get(settings, marks.RELEASE_ANNOUNCED) == str(now.number):
        return 0
    return now.number
