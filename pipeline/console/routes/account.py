"""One's own account: roles, and tokens for the HTTP API."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from pipeline.console import pages
from pipeline.console.context import actor, store, writing
from pipeline.console.gate.identity import NotFoundError
from pipeline.console.routes.work import FormText, Number
from pipeline.people import permissions, sessions

router = APIRouter()


@router.get("/account", name="account")
def show(request: Request) -> Response:
    """Who one is here, and one's tokens."""
    return _page(request, None)


@router.post("/account/tokens", name="token")
def create(request: Request, name: FormText = "", days: Number = 30, scope: FormText = "read") -> Response:
    """Make a token; its secret is shown on this answer only."""
    with writing(request) as session:
        _, secret = sessions.create_token(session, actor(request), name[:80], days, scope)
    return _page(request, secret)


@router.post("/account/tokens/{token_id}/revoke", name="revoke")
def revoke(request: Request, token_id: str) -> Response:
    """End a token at once."""
    with writing(request) as session:
        if not any(t.token_id == token_id for t in sessions.tokens(session, actor(request))):
            raise NotFoundError("You have no such token.")
        sessions.revoke_token(session, actor(request), token_id)
    return RedirectResponse("/account?done=revoked", 303)


def _page(request: Request, secret: str | None) -> Response:
    who = actor(request)
    tokens: list[dict[str, Any]] = []
    if permissions.allowed(who, "tokens.own"):
        with writing(request) as session:
            tokens = [
                {"token_id": t.token_id, "name": t.name, "created_at": t.created_at, "expires_at": t.expires_at,
                 "revoked_at": t.revoked_at, "scope": t.scope}
                for t in sessions.tokens(session, who)
            ]  # fmt: skip
    data = {
        "user_id": who.user_id,
        "name": who.name,
        "roles": sorted(who.roles),
        "compartments": sorted(who.compartments),
        "tokens": tokens,
    }
    days = store(request).rules.data["tokens"]["max_days"]
    return pages.answer(request, "account.html", data, secret=secret, most_days=days)
