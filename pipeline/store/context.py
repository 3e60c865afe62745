"""What a session carries besides the database: the settings, the rules of work and the clock of its store."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from sqlalchemy.orm import Session

from pipeline.settings import Settings
from pipeline.store.rules import CaseRules


class Carried(Protocol):
    """What a session knows of the store that opened it (`pipeline/store/opening.py`, which stands above this module)."""

    @property
    def settings(self) -> Settings: ...

    @property
    def rules(self) -> CaseRules: ...

    def clock(self) -> datetime: ...

    @property
    def dialect(self) -> str: ...


def store(session: Session) -> Carried:
    """The store that the session belongs to."""
    found: Carried = session.info["store"]
    return found


def rules(session: Session) -> CaseRules:
    """policy/cases.yaml as the store loaded it."""
    return store(session).rules


def now(session: Session) -> datetime:
    """The present moment by the store's clock, UTC (a test may set the clock)."""
    return store(session).clock()
