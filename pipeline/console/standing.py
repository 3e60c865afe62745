"""What the newest night means for the pages: asked of the runs some seconds apart, not for every page."""

from __future__ import annotations

import threading
import time

from pipeline.night import failures
from pipeline.night.failures import Standing
from pipeline.settings import Settings

SECONDS = 10.0


class Nights:
    """The standing of the runs, at most SECONDS old. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._held: tuple[float, Standing] | None = None
        self._looking = threading.Lock()

    def standing(self) -> Standing:
        """The newest known standing; one thread looks, the others go on with what is known."""
        held = self._held
        if held is not None and (time.monotonic() - held[0] < SECONDS or not self._looking.acquire(blocking=False)):
            return held[1]
        if held is None:
            self._looking.acquire()
        try:
            found = failures.standing(self.settings)
            self._held = (time.monotonic(), found)
            return found
        finally:
            self._looking.release()
