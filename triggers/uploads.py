"""Watches whether graded results that people uploaded wait in the case store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from pipeline import logs
from pipeline.errors import TriageError
from pipeline.night.grading import uploads
from pipeline.settings import Settings

AGAIN = 60
"""Looks after which uploads that still wait (for an approval of the release) are reported again."""


class UploadTrigger(BaseEventTrigger):
    """Fires when the number of uploads that wait has changed, and again after AGAIN looks while some do. The event says how
    many they are and nothing else."""

    def __init__(self, seconds: float = 10.0) -> None:
        super().__init__()
        self.seconds = seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "triggers.uploads.UploadTrigger", {"seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        before = looks = 0
        while True:
            try:
                number = await asyncio.to_thread(uploads.waiting, Settings.load())
            except TriageError as error:  # a trigger that ends in an error watches nothing
                logs.get("uploads").warning("the case store does not answer", reason=error.message)
                number = before
            looks = looks + 1 if number == before else 0
            if number and looks % AGAIN == 0:
                yield TriggerEvent({"uploads": number})
            before = number
            await asyncio.sleep(self.seconds)
