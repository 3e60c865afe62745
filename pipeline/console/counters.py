"""Counts of the queue, held for a minute where they are large: counting 100,000 cases costs more than showing forty.

Small counts are taken anew at every request, so that what a person has just done is seen at once. A large count may be
up to FRESH_SECONDS old, and the page says when it was taken; the list itself is never held.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from pipeline.cases.views import queue
from pipeline.store.actors import Actor
from pipeline.store.context import now

FRESH_SECONDS = 60
LARGE = 2_000
"""Cases from which on a count is held."""


@dataclass(frozen=True)
class Counted:
    """Cases by band, by urgency group and in all, when they were counted, and whether at an earlier request."""

    counts: dict[str, int]
    at: datetime
    earlier: bool


class Counters:
    """Held counts by what may be seen and what was asked. Safe to share between threads: entries are only replaced."""

    def __init__(self) -> None:
        self._held: dict[object, Counted] = {}

    def count(self, session: Session, actor: Actor, filters: queue.QueueFilters) -> Counted:
        """How many cases the actor sees under the filters."""
        personal = filters.holder == "me" or filters.new_for_me is not None
        key = (actor.user_id if personal else None, actor.compartments, filters)
        moment = now(session)
        oldest = moment - timedelta(seconds=FRESH_SECONDS)
        held = self._held.get(key)
        if held is not None and oldest <= held.at <= moment:
            return held
        found = Counted(queue.counts(session, actor, filters), moment, False)
        kept = {k: v for k, v in self._held.copy().items() if v.at >= oldest}
        if found.counts["total"] >= LARGE:
            kept[key] = Counted(found.counts, moment, True)
        self._held = kept
        return found
