"""That somebody was told: a person's name, by whom and when. Flags and notifications are acknowledged by the same words."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from pipeline.errors import UsageError
from pipeline.store.actors import Actor
from pipeline.store.context import now

LONGEST = 200


class Told(NamedTuple):
    """Who was told (`to`, a name), by whom (a name), and at which moment."""

    to: str
    by: str
    at: datetime


def told(session: Session, actor: Actor, to: str, by: str | None, at: datetime | None) -> Told:
    """What is to be recorded: told by the actor unless another name is given, now unless another time is given.

    Raises UsageError without a name, for a name that is too long, and for a time without zone or in the future.
    """
    taker, teller = to.strip(), (by or "").strip() or actor.name
    if not taker:
        raise UsageError("Who was told?", "Give the name of the person, not only the post.")
    if max(len(taker), len(teller)) > LONGEST:
        raise UsageError(f"A name has at most {LONGEST} characters.")
    moment = at or now(session)
    if moment.tzinfo is None:
        raise UsageError("The time needs a time zone.", "For example 2026-03-02T09:30+00:00.")
    if moment > now(session):
        raise UsageError("That time lies in the future.", "Record it once they have been told.")
    return Told(taker, teller, moment)
