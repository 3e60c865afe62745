"""Accounts, roles, teams; signing in with a password and the lockout after wrong ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, delete, select
from sqlalchemy.orm import Session

from pipeline import senders
from pipeline.errors import ConflictError, PermissionDeniedError, UsageError
from pipeline.people import passwords, permissions
from pipeline.store import recording as audit
from pipeline.store.actors import SYSTEM, Actor
from pipeline.store.context import now, rules
from pipeline.store.opening import Store
from pipeline.store.people_tables import ApiToken, SignInDelay, Team, User, WebSession

WRONG = "The name or the password is wrong, or the account is locked for a while."
"""One answer for every reason: it does not tell which accounts exist."""

_NAMES = select(User.user_id, User.name)


def sign_in(store: Store, user_id: str, password: str, address: str = "") -> Actor:
    """The person, if the password is right. Wrong ones are counted for the account and the `address` that they come from
    (empty: the command line), and that address waits as the policy says: nobody is locked out from elsewhere.

    The slow password hash is made before the transaction begins, by a few at a time (`passwords.one_of_few`). Takes the store,
    not a session: a wrong password is written and logged although an error follows.
    Raises PermissionDeniedError with the same words for every reason, BusyError when too many sign in at once.
    """
    with store.reader() as session:
        found = session.get(User, user_id)
        stored = found.password_hash if found else None
        waiting = found is not None and _waiting(session, found, address)
    with passwords.one_of_few(address):
        right = passwords.verify(store.rules, stored, password)
        stale = right and stored is not None and passwords.needs_rehash(store.rules, stored)
        fresh = passwords.hash_password(store.rules, password) if stale else stored
    with store.session() as session:
        user = session.scalar(select(User).where(User.user_id == user_id).with_for_update())
        if user is not None:
            waiting = _waiting(session, user, address)
            if right and not waiting and not user.disabled and user.password_hash == stored:
                user.password_hash = fresh
                return _signed_in(session, user, address)
            if not waiting:
                _count_wrong(session, user, address)
            audit.record(session, SYSTEM, "alteration", "sign_in.refused", object_=f"user:{user.user_id}")
    raise PermissionDeniedError(WRONG, "Try again later, or ask an administrator.")


def _waiting(session: Session, user: User, address: str) -> bool:
    """Whether this address has to wait before it may try the account again."""
    until = user.locked_until
    if address:
        delay = session.get(SignInDelay, (user.user_id, address))
        until = delay.until if delay else None
    return until is not None and until > now(session)


def _signed_in(session: Session, user: User, address: str) -> Actor:
    user.last_sign_in_at = now(session)
    if address:
        session.execute(delete(SignInDelay).where(SignInDelay.user_id == user.user_id, SignInDelay.address == address))
    else:
        user.failed_attempts, user.locked_until = 0, None
    actor = actor_of(user)
    audit.record(session, actor, "alteration", "sign_in", object_=f"user:{user.user_id}")
    return actor


def _count_wrong(session: Session, user: User, address: str) -> None:
    policy = rules(session).data["lockout"]
    until = now(session) + timedelta(minutes=policy["minutes"])
    if address:
        delay = session.get(SignInDelay, (user.user_id, address))
        if delay is None:
            session.execute(delete(SignInDelay).where(SignInDelay.until < now(session)))
            delay = SignInDelay(user_id=user.user_id, address=address, failed=0)
            session.add(delay)
        delay.failed += 1
        if delay.failed < policy["attempts"]:
            return
        delay.failed, delay.until = 0, until
    else:
        user.failed_attempts += 1
        if user.failed_attempts < policy["attempts"]:
            return
        user.failed_attempts, user.locked_until = 0, until
    audit.record(
        session, SYSTEM, "alteration", "account.locked", object_=f"user:{user.user_id}", detail={"from": address}
    )


def actor_of(user: User | Row[Any]) -> Actor:
    """The actor that an account (its row, or the columns of it that say this) acts as."""
    return Actor(user.user_id, user.name, frozenset(user.roles), frozenset(user.compartments), user.team_id)


def actor(session: Session, user_id: str) -> Actor:
    """The present actor of an enabled account. Raises PermissionDeniedError where there is none."""
    user = session.get(User, user_id)
    if user is None or user.disabled:
        raise PermissionDeniedError(f"There is no account {user_id!r} that may be used.", "Ask an administrator.")
    return actor_of(user)


def names(session: Session) -> dict[str, str]:
    """Name of the person, or of the nightly run, by account."""
    found = {row.user_id: row.name for row in session.connection().execute(_NAMES)}
    return {**found, SYSTEM.user_id: "nightly run"}


def name_of(session: Session, user_id: str | None) -> str:
    """Whom a message names for an account: the person; the account itself where none of that name is left."""
    user = session.get(User, user_id) if user_id else None
    if user is not None:
        return user.name
    return "nightly run" if user_id == SYSTEM.user_id else user_id or "nobody"


def listing(session: Session, actor: Actor) -> Sequence[User]:
    """All accounts by name."""
    permissions.require(actor, "users.read")
    return session.scalars(select(User).order_by(User.user_id)).all()


def first(session: Session, user_id: str, name: str, password: str | None) -> User:
    """The first account of an empty store: an administrator. Raises ConflictError once there is any account."""
    if session.scalar(select(User.user_id).limit(1)) is not None:
        raise ConflictError("There are accounts already.", "An administrator adds others.")
    return _add(session, SYSTEM, user_id, name, ["administrator"], (), None, password)


def add(
    session: Session,
    actor: Actor,
    user_id: str,
    name: str,
    *,
    roles: Iterable[str],
    compartments: Iterable[str] = (),
    team_id: str | None = None,
    password: str | None = None,
) -> User:
    """Add an account. Without a password it can sign in by the identity provider only.

    Raises UsageError for a name, role, compartment or team that cannot be, ConflictError when the account exists.
    """
    permissions.require(actor, "users.manage")
    return _add(session, actor, user_id, name, roles, compartments, team_id, password)


def _add(  # noqa: PLR0917 - all that an account has, as `add` takes it
    session: Session, actor: Actor, user_id: str, name: str, roles: Iterable[str], compartments: Iterable[str] = (),
    team_id: str | None = None, password: str | None = None,
) -> User:  # fmt: skip
    if not re.fullmatch(r"[a-z0-9][a-z0-9._@-]{0,63}", user_id) or user_id == SYSTEM.user_id:
        what = f"{user_id!r} cannot be an account name." if user_id else "An account needs a name."
        raise UsageError(what, "Use small letters, digits, dot, hyphen, underscore.")
    if session.get(User, user_id) is not None:
        raise ConflictError(f"There is an account {user_id!r} already.")
    user = User(
        user_id=user_id,
        name=name.strip() or user_id,
        password_hash=passwords.hash_password(rules(session), password) if password is not None else None,
        origin="local",
        roles=known(roles, permissions.ROLES, "role"),
        compartments=known(compartments, senders.COMPARTMENTS, "compartment"),
        team_id=_team(session, team_id),
        disabled=False,
        failed_attempts=0,
        created_at=now(session),
        version=1,
    )
    session.add(user)
    detail = {"roles": user.roles, "compartments": user.compartments, "team": team_id}
    audit.record(session, actor, "alteration", "user.added", object_=f"user:{user_id}", detail=detail)
    return user


def change(
    session: Session,
    actor: Actor,
    user_id: str,
    *,
    version: int,
    name: str | None = None,
    roles: Iterable[str] | None = None,
    compartments: Iterable[str] | None = None,
    team_id: str | None = None,
    disabled: bool | None = None,
    unlock: bool = False,
) -> User:
    """Change an account; what is None stays, an empty `team_id` leaves the team. Open sessions and API tokens end at once.

    Raises UsageError for values that cannot be, ConflictError when it changed since `version` or it is the last
    enabled administrator.
    """
    permissions.require(actor, "users.manage")
    user = _for_change(session, user_id)
    if user.version != version:
        raise ConflictError(f"The account {user_id} was changed after you opened it.", "Reload it and try again.")
    if name is not None:
        user.name = name.strip() or user_id
    if roles is not None:
        user.roles = known(roles, permissions.ROLES, "role")
    if compartments is not None:
        user.compartments = known(compartments, senders.COMPARTMENTS, "compartment")
    if team_id is not None:
        user.team_id = _team(session, team_id or None)
    if disabled is not None:
        user.disabled = disabled
    if unlock:
        user.failed_attempts, user.locked_until = 0, None
        session.execute(delete(SignInDelay).where(SignInDelay.user_id == user_id))
    user.version += 1
    session.flush()
    _keep_an_administrator(session)
    end_access(session, user_id)
    detail = {"roles": user.roles, "compartments": user.compartments, "team": user.team_id, "disabled": user.disabled}
    audit.record(session, actor, "alteration", "user.changed", object_=f"user:{user_id}", detail=detail)
    return user


def set_password(session: Session, actor: Actor, user_id: str, password: str) -> None:
    """Set a password: one's own, or anybody's as administrator. Open sessions and API tokens of the account end."""
    permissions.require(actor, "password.own" if actor.user_id == user_id else "users.manage")
    user = _for_change(session, user_id)
    user.password_hash = passwords.hash_password(rules(session), password)
    user.failed_attempts, user.locked_until = 0, None
    user.version += 1
    end_access(session, user_id)
    audit.record(session, actor, "alteration", "user.password", object_=f"user:{user_id}")


def add_team(session: Session, actor: Actor, team_id: str, name: str) -> Team:
    """Add a team. Raises ConflictError when it exists."""
    permissions.require(actor, "users.manage")
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", team_id):
        raise UsageError(f"{team_id!r} cannot name a team.", "Use small letters, digits and hyphens.")
    if session.get(Team, team_id) is not None:
        raise ConflictError(f"There is a team {team_id!r} already.")
    team = Team(team_id=team_id, name=name.strip() or team_id)
    session.add(team)
    audit.record(session, actor, "alteration", "team.added", object_=f"team:{team_id}")
    return team


def end_access(session: Session, user_id: str) -> None:
    """End all that was given out to an account: what it may do has changed, or who holds it."""
    end_sessions(session, user_id)
    end_tokens(session, user_id)


def end_sessions(session: Session, user_id: str) -> None:
    """End all console sessions of an account."""
    session.execute(delete(WebSession).where(WebSession.user_id == user_id))


def end_tokens(session: Session, user_id: str) -> None:
    """Revoke all API tokens of an account."""
    for token in session.scalars(select(ApiToken).where(ApiToken.user_id == user_id, ApiToken.revoked_at.is_(None))):
        token.revoked_at = now(session)


def known(chosen: Iterable[str], possible: Sequence[str], what: str) -> list[str]:
    """The chosen words, sorted, each once. Raises UsageError naming those that are not possible."""
    words = sorted(set(chosen))
    wrong = [word for word in words if word not in possible]
    if wrong:
        raise UsageError(f"{', '.join(map(repr, wrong))} is no {what}.", f"Known: {', '.join(possible)}.")
    return words


def _for_change(session: Session, user_id: str) -> User:
    query = select(User).where(User.user_id == user_id).with_for_update().execution_options(populate_existing=True)
    user = session.scalar(query)
    if user is None:
        raise UsageError(f"There is no account {user_id!r}.", "`triage users list` shows them.")
    return user


def _team(session: Session, team_id: str | None) -> str | None:
    if team_id is not None and session.get(Team, team_id) is None:
        raise UsageError(f"There is no team {team_id!r}.", "`triage users team` adds one.")
    return team_id


def _keep_an_administrator(session: Session) -> None:
    if not any("administrator" in user.roles and not user.disabled for user in session.scalars(select(User))):
        raise ConflictError("This is the last administrator.", "Make another one first.")
