"""Accounts of an identity provider: which claims mean which roles and compartments here (policy/cases.yaml, `oidc`).

The sign-in flow itself is the console's (`pipeline/console/gate/provider.py`, by Authlib). Roles and compartments are taken
anew at every sign-in, so that the provider stays their only source; a person whose groups map to nothing is refused, and
whatever was given out to the account before ends. An account is known by the provider's issuer and subject, which are never given to
another person; the name is only what it is shown by.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.errors import PermissionDeniedError
from pipeline.people.users import actor_of, end_access
from pipeline.store import recording as audit
from pipeline.store.actors import SYSTEM, Actor
from pipeline.store.context import now, rules
from pipeline.store.people_tables import User
from pipeline.store.rules import CaseRules


def identity(policy: CaseRules, claims: Mapping[str, Any]) -> Actor:
    """The person that verified claims describe. Raises PermissionDeniedError without an account name or any role."""
    mapping = policy.data["oidc"]
    user_id = str(claims.get(mapping["user_claim"]) or "").strip().lower()
    if not re.fullmatch(r"[a-z0-9][a-z0-9._@-]{0,63}", user_id) or user_id == SYSTEM.user_id:
        raise PermissionDeniedError(
            f"The identity provider sent no usable account name (claim {mapping['user_claim']}).",
            "Ask the administrator of the identity provider.",
        )
    roles = _mapped(claims.get(mapping["role_claim"]), mapping["roles"])
    if not roles:
        raise PermissionDeniedError(
            "None of your groups gives access here.", "Ask the administrator of the identity provider."
        )
    compartments = _mapped(claims.get(mapping["compartment_claim"]), mapping["compartments"])
    name = str(claims.get(mapping["name_claim"]) or user_id).strip()[:200]
    return Actor(user_id, name, roles, compartments)


def admit(session: Session, claims: Mapping[str, Any]) -> Actor:
    """The person's account, made at the first sign-in and brought to the provider's roles at each.

    Raises PermissionDeniedError for a disabled account, for a name that a local account has, and as `identity`.
    """
    issuer, subject = _key(claims)
    person = identity(rules(session), claims)
    roles, compartments = sorted(person.roles), sorted(person.compartments)
    user = _account(session, issuer, subject)
    if user is None:
        user = session.scalar(select(User).where(User.user_id == person.user_id).with_for_update())
        if user is not None and (user.origin != "oidc" or user.subject is not None):
            raise PermissionDeniedError(
                "This account cannot sign in by the identity provider: its name belongs to somebody else here.",
                "Ask an administrator.",
            )
    if user is None:
        user = User(
            user_id=person.user_id,
            name=person.name,
            password_hash=None,
            origin="oidc",
            roles=roles,
            compartments=compartments,
            team_id=None,
            disabled=False,
            failed_attempts=0,
            created_at=now(session),
            version=1,
        )
        session.add(user)
        _log(session, user, "user.added")
    elif user.disabled:
        raise PermissionDeniedError("This account cannot sign in by the identity provider.", "Ask an administrator.")
    elif (user.roles, user.compartments) != (roles, compartments):
        user.roles, user.compartments, user.version = roles, compartments, user.version + 1
        end_access(session, user.user_id)
        _log(session, user, "user.changed")
    user.issuer, user.subject = issuer, subject
    user.name, user.last_sign_in_at = person.name, now(session)
    session.flush()
    actor = actor_of(user)
    audit.record(session, actor, "alteration", "sign_in", object_=f"user:{user.user_id}", detail={"origin": "oidc"})
    return actor


def refused(session: Session, claims: Mapping[str, Any], why: str) -> None:
    """Log that a person for whom the identity provider vouches was refused, and end what was given out to the account."""
    issuer, subject = str(claims.get("iss") or ""), str(claims.get("sub") or "")
    user = _account(session, issuer, subject) if issuer and subject else None
    if user is not None:
        end_access(session, user.user_id)
    user_id = str(claims.get(rules(session).data["oidc"]["user_claim"]) or "")[:64]
    detail = {"origin": "oidc", "why": why}
    audit.record(session, SYSTEM, "alteration", "sign_in.refused", object_=f"user:{user_id.lower()}", detail=detail)


def _key(claims: Mapping[str, Any]) -> tuple[str, str]:
    """Issuer and subject of verified claims. Raises PermissionDeniedError where one is missing."""
    issuer, subject = claims.get("iss"), claims.get("sub")
    if not isinstance(issuer, str) or not isinstance(subject, str) or not issuer or not 0 < len(subject) <= 255:
        raise PermissionDeniedError(
            "The identity provider did not say who vouches for whom (iss, sub).",
            "Ask the administrator of the identity provider.",
        )
    return issuer.rstrip("/"), subject


def _account(session: Session, issuer: str, subject: str) -> User | None:
    """The account of an issuer's subject, locked for change."""
    held = select(User).where(User.issuer == issuer.rstrip("/"), User.subject == subject).with_for_update()
    return session.scalar(held)


def _mapped(values: Any, mapping: Mapping[str, str]) -> frozenset[str]:
    listed = [values] if isinstance(values, str) else values if isinstance(values, list) else []
    return frozenset(mapping[v] for v in listed if isinstance(v, str) and v in mapping)


def _log(session: Session, user: User, action: str) -> None:
    detail = {"roles": user.roles, "compartments": user.compartments, "origin": "oidc"}
    audit.record(session, actor_of(user), "alteration", action, object_=f"user:{user.user_id}", detail=detail)
