"""Console sessions and API tokens. The secret is shown once; the store keeps its SHA-256 only."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import bindparam, delete, or_, select
from sqlalchemy.orm import Session

from pipeline.errors import UsageError
from pipeline.people import permissions
from pipeline.people.users import actor_of
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.context import now, rules
from pipeline.store.people_tables import ApiToken, User, WebSession

TOUCH = timedelta(minutes=1)
"""How often a session's last use is written: not at every request."""
_SESSION = (
    select(
        WebSession.csrf,
        WebSession.data,
        WebSession.last_seen_at,
        WebSession.expires_at,
        *(User.user_id, User.name, User.roles, User.compartments, User.team_id, User.disabled),
    )
    .join(User, User.user_id == WebSession.user_id)
    .where(WebSession.token_sha256 == bindparam("digest"))
)
"""Asked at every request, so built once."""


@dataclass(frozen=True)
class SignedIn:
    """An open session: who, its CSRF token, and small values the console keeps in it."""

    actor: Actor
    csrf: str
    data: dict[str, Any]
    touch: bool
    """Whether `touch(session, token)` is due."""


def start(session: Session, actor: Actor, data: dict[str, Any] | None = None) -> str:
    """Open a session for a person who has just signed in; returns its token (256 bits, new each time)."""
    token = secrets.token_urlsafe(32)
    moment = now(session)
    session.add(
        WebSession(
            token_sha256=_digest(token),
            user_id=actor.user_id,
            csrf=secrets.token_urlsafe(32),
            created_at=moment,
            last_seen_at=moment,
            expires_at=moment + timedelta(hours=rules(session).data["sessions"]["absolute_hours"]),
            data=data or {},
        )
    )
    return token


def resume(session: Session, token: str) -> SignedIn | None:
    """The open session of a token, with the person's present roles; None when it ended or its account is disabled.

    Only reads (`Store.reader` will do); when `SignedIn.touch` says so, call `touch` in a writing session.
    """
    row = session.connection().execute(_SESSION, {"digest": _digest(token)}).first()
    if row is None:
        return None
    moment = now(session)
    idle = timedelta(minutes=rules(session).data["sessions"]["idle_minutes"])
    if moment >= row.expires_at or moment >= row.last_seen_at + idle or row.disabled:
        return None
    return SignedIn(actor_of(row), row.csrf, dict(row.data), moment >= row.last_seen_at + TOUCH)


def touch(session: Session, token: str) -> None:
    """Note that the session is in use."""
    row = session.get(WebSession, _digest(token))
    if row is not None:
        row.last_seen_at = now(session)


def keep(session: Session, token: str, data: dict[str, Any]) -> None:
    """Replace the small values of a session."""
    row = session.get(WebSession, _digest(token))
    if row is not None:
        row.data = data


def end(session: Session, token: str) -> None:
    """Sign out; forgets sessions that ended by themselves too."""
    idle = timedelta(minutes=rules(session).data["sessions"]["idle_minutes"])
    gone = or_(WebSession.expires_at <= now(session), WebSession.last_seen_at <= now(session) - idle)
    session.execute(delete(WebSession).where(or_(WebSession.token_sha256 == _digest(token), gone)))


SCOPES = ("read", "work")
"""What a token may be used for: `read` asks and looks up, `work` changes cases too. None makes or ends tokens."""


@dataclass(frozen=True)
class Bearer:
    """Whom a token acts for, and within what."""

    actor: Actor
    scope: str


def create_token(session: Session, actor: Actor, name: str, days: int, scope: str = SCOPES[0]) -> tuple[ApiToken, str]:
    """A new API token of the actor and its secret, which is not shown again.

    Raises UsageError for a life longer than the policy allows, or a scope that there is not.
    """
    permissions.require(actor, "tokens.own")
    if scope not in SCOPES:
        raise UsageError(f"There is no scope {scope!r}.", f"Known: {', '.join(SCOPES)}.")
    most = rules(session).data["tokens"]["max_days"]
    if not 1 <= days <= most:
        raise UsageError(f"A token lives 1 to {most} days.")
    secret = f"triage_{secrets.token_urlsafe(32)}"
    moment = now(session)
    row = ApiToken(
        token_id=secrets.token_hex(8),
        token_sha256=_digest(secret),
        user_id=actor.user_id,
        name=name.strip() or "token",
        created_at=moment,
        expires_at=moment + timedelta(days=days),
        scope=scope,
    )
    session.add(row)
    detail = {"scope": scope, "days": days}
    audit.record(session, actor, "alteration", "token.created", object_=f"token:{row.token_id}", detail=detail)
    return row, secret


def bearer(session: Session, secret: str) -> Bearer | None:
    """Whom a token acts for, with present roles; None when unknown, expired, revoked or the account is disabled.

    The identity provider tells the roles of its accounts at sign-in only: their tokens rest when that is longer ago than
    the policy's `recheck_days`, until the person signs in again.
    """
    row = session.scalar(select(ApiToken).where(ApiToken.token_sha256 == _digest(secret)))
    moment = now(session)
    if row is None or row.revoked_at is not None or moment >= row.expires_at:
        return None
    user = session.get(User, row.user_id)
    if user is None or user.disabled:
        return None
    if user.origin == "oidc":
        recheck = timedelta(days=rules(session).data["tokens"]["recheck_days"])
        if user.last_sign_in_at is None or moment >= user.last_sign_in_at + recheck:
            return None
    return Bearer(actor_of(user), row.scope)


def token_id(session: Session, secret: str) -> str:
    """The name of the token with this secret. Raises UsageError where there is none."""
    found = session.scalar(select(ApiToken.token_id).where(ApiToken.token_sha256 == _digest(secret)))
    if found is None:
        raise UsageError("There is no such token.")
    return found


def tokens(session: Session, actor: Actor) -> Sequence[ApiToken]:
    """The actor's own tokens, newest first."""
    permissions.require(actor, "tokens.own")
    query = select(ApiToken).where(ApiToken.user_id == actor.user_id).order_by(ApiToken.created_at.desc())
    return session.scalars(query).all()


def revoke_token(session: Session, actor: Actor, token_id: str) -> None:
    """Revoke a token: one's own, or anybody's as administrator. Raises UsageError where there is none."""
    row = session.get(ApiToken, token_id)
    own = row is not None and row.user_id == actor.user_id
    permissions.require(actor, "tokens.own" if own else "users.manage")
    if row is None:
        raise UsageError(f"There is no token {token_id!r}.")
    row.revoked_at = row.revoked_at or now(session)
    audit.record(session, actor, "alteration", "token.revoked", object_=f"token:{token_id}")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
