"""What a session carries besides the database: the rules of work and the clock."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from pipeline.cases.rules import Rules

if TYPE_CHECKING:
    from pipeline.cases.store import Store


def store(session: Session) -> Store:
    """The store that the session belongs to."""
    found: Store = session.info["store"]
    return found


def rules(session: Session) -> Rules:
    """policy/cases.yaml as the store loaded it."""
    return store(session).rules


def now(session: Session) -> datetime:
    """The present moment by the store's clock, UTC (a test may set the clock)."""
    return store(session).clock()
