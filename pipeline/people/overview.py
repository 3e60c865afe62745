"""Every account with what was given out to it: open sessions and tokens that live, for those who look after accounts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.errors import UsageError
from pipeline.people import permissions
from pipeline.people import users as accounts
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.context import now, rules
from pipeline.store.people_tables import ApiToken, User, WebSession


def overview(session: Session, actor: Actor) -> list[dict[str, Any]]:
    """One row per account by name: user_id, name, roles, compartments, team, origin, disabled, locked_until, created_at,
    last_sign_in_at, sessions and tokens (numbers of those that live), version."""
    found = accounts.listing(session, actor)
    sessions = _live_sessions(session)
    tokens = _live_tokens(session)
    return [
        {
            "user_id": user.user_id,
            "name": user.name,
            "roles": user.roles,
            "compartments": user.compartments,
            "team": user.team_id,
            "origin": user.origin,
            "disabled": user.disabled,
            "locked_until": user.locked_until,
            "created_at": user.created_at,
            "last_sign_in_at": user.last_sign_in_at,
            "sessions": sum(s.user_id == user.user_id for s in sessions),
            "tokens": sum(t.user_id == user.user_id for t in tokens),
            "version": user.version,
        }
        for user in found
    ]


def given_out(session: Session, actor: Actor, user_id: str) -> dict[str, list[dict[str, Any]]]:
    """Sessions (begun, seen, ends) and tokens (token_id, name, scope, made, ends) of an account that live; no secret is there."""
    permissions.require(actor, "users.read")
    return {
        "sessions": [
            {"created_at": s.created_at, "last_seen_at": s.last_seen_at, "expires_at": s.expires_at}
            for s in _live_sessions(session)
            if s.user_id == user_id
        ],
        "tokens": [
            {
                "token_id": t.token_id,
                "name": t.name,
                "scope": t.scope,
                "created_at": t.created_at,
                "expires_at": t.expires_at,
            }
            for t in _live_tokens(session)
            if t.user_id == user_id
        ],
    }


def end_all(session: Session, actor: Actor, user_id: str) -> None:
    """End all sessions and tokens of an account; the account itself stays as it is. Raises UsageError where there is none."""
    permissions.require(actor, "users.manage")
    if session.get(User, user_id) is None:
        raise UsageError(f"There is no account {user_id!r}.")
    accounts.end_access(session, user_id)
    audit.record(session, actor, "alteration", "user.access_ended", object_=f"user:{user_id}")


def _live_sessions(session: Session) -> list[WebSession]:
    idle = timedelta(minutes=rules(session).data["sessions"]["idle_minutes"])
    moment = now(session)
    query = select(WebSession).where(WebSession.expires_at > moment, WebSession.last_seen_at > moment - idle)
    return list(session.scalars(query.order_by(WebSession.created_at)))


def _live_tokens(session: Session) -> list[ApiToken]:
    query = select(ApiToken).where(ApiToken.revoked_at.is_(None), ApiToken.expires_at > now(session))
    return list(session.scalars(query.order_by(ApiToken.created_at)))
