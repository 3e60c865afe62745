"""What a handler finds on its request: the person, the case store, the evidence, the settings."""

from __future__ import annotations

from contextlib import AbstractContextManager

from fastapi import Request
from sqlalchemy.orm import Session

from pipeline.console.casepage.evidence import Evidence
from pipeline.console.gate.identity import NotSignedInError, Visitor
from pipeline.people import users
from pipeline.settings import Settings
from pipeline.store.actors import Actor
from pipeline.store.opening import Store


def visitor(request: Request) -> Visitor:
    """The signed-in person with session and form token. Raises NotSignedInError on a public route without one."""
    found: Visitor | None = request.state.visitor
    if found is None:
        raise NotSignedInError("You are not signed in.", "Sign in and try again.")
    return found


def actor(request: Request) -> Actor:
    """The person as the case store's services take it."""
    return visitor(request).actor


def store(request: Request) -> Store:
    """The open case store."""
    found: Store = request.app.state.store
    return found


def writing(request: Request) -> AbstractContextManager[Session]:
    """One transaction that may write, with its audit entries, in its turn."""
    found: AbstractContextManager[Session] = request.app.state.writers.session()
    return found


def evidence(request: Request) -> Evidence:
    """The lake's rows by case."""
    found: Evidence = request.app.state.evidence
    return found


def settings(request: Request) -> Settings:
    """The settings that the console was started with."""
    found: Settings = request.app.state.settings
    return found


def person(request: Request, user_id: str) -> str:
    """Whoever an account belongs to, by name as pages say it; the account itself where there is none of that name."""
    names: dict[str, str] | None = getattr(request.state, "names", None)
    if names is None:
        with store(request).reader() as session:
            names = know_people(request, session)
    return names.get(user_id, user_id)


def know_people(request: Request, session: Session) -> dict[str, str]:
    """Ask for all names in a transaction that is open already, for a page that will need some."""
    names: dict[str, str] = users.names(session)
    request.state.names = names
    return names
