"""The administrator's pages: accounts with roles, compartments, sessions and tokens, and the last sign-in."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from pipeline import senders
from pipeline.console import pages
from pipeline.console.context import actor, store, writing
from pipeline.console.gate.identity import NotFoundError
from pipeline.console.routes.work import FormText, Number
from pipeline.errors import ConflictError, TriageError, UsageError
from pipeline.people import overview, permissions, sessions, users

router = APIRouter()

Chosen = Annotated[list[str] | None, Form()]


@router.get("/accounts", name="accounts")
def show(request: Request) -> Response:
    """Every account: roles, compartments, whether it may be used, last sign-in, sessions and tokens that live."""
    return _list(request)


@router.post("/accounts", name="account_add")
def add(
    request: Request,
    *,
    user_id: FormText = "",
    name: FormText = "",
    password: FormText = "",
    roles: Chosen = None,
    compartments: Chosen = None,
) -> Response:
    """Add an account; without a password it signs in by the identity provider only."""
    try:
        with writing(request) as session:
            made = users.add(
                session, actor(request), user_id.strip().lower(), name, roles=roles or [],
                compartments=compartments or [], password=password or None,
            )  # fmt: skip
            place = made.user_id
    except (UsageError, ConflictError) as error:
        if pages.chosen_format(request) != "html":
            raise
        return _list(
            request, error, {"user_id": user_id, "name": name, "roles": roles or [], "compartments": compartments or []}
        )
    return RedirectResponse(f"/accounts/{place}?done=entered", 303)


@router.get("/accounts/{user_id}", name="account_one")
def one(request: Request, user_id: str) -> Response:
    """One account with its sessions and tokens, and what an administrator may change of it."""
    return _one(request, user_id)


@router.post("/accounts/{user_id}", name="account_change")
def change(
    request: Request,
    user_id: str,
    *,
    version: Number,
    name: FormText = "",
    state: FormText = "enabled",
    roles: Chosen = None,
    compartments: Chosen = None,
) -> Response:
    """Change name, roles, compartments and state (enabled, disabled, unlock); open sessions and tokens end at once."""
    try:
        with writing(request) as session:
            users.change(
                session, actor(request), user_id, version=version, name=name, roles=roles or [],
                compartments=compartments or [], disabled=state == "disabled", unlock=state == "unlock",
            )  # fmt: skip
    except (UsageError, ConflictError) as error:
        if pages.chosen_format(request) != "html":
            raise
        return _one(request, user_id, error)
    return RedirectResponse(f"/accounts/{user_id}?done=entered", 303)


@router.post("/accounts/{user_id}/end", name="account_end")
def end(request: Request, user_id: str) -> Response:
    """End all sessions and tokens of an account."""
    with writing(request) as session:
        overview.end_all(session, actor(request), user_id)
    return RedirectResponse(f"/accounts/{user_id}?done=entered", 303)


@router.post("/accounts/{user_id}/tokens/{token_id}/revoke", name="account_revoke")
def revoke(request: Request, user_id: str, token_id: str) -> Response:
    """End one token of an account."""
    with writing(request) as session:
        held = overview.given_out(session, actor(request), user_id)["tokens"]
        if token_id not in {t["token_id"] for t in held}:
            raise NotFoundError("The account has no such token.")
        sessions.revoke_token(session, actor(request), token_id)
    return RedirectResponse(f"/accounts/{user_id}?done=revoked", 303)


def _list(request: Request, error: TriageError | None = None, typed: dict[str, Any] | None = None) -> Response:
    with store(request).reader() as session:
        rows = overview.overview(session, actor(request))
    given = typed or {"user_id": "", "name": "", "roles": [], "compartments": []}
    context = {**_options(), "given": given, "errors": _errors(error), "formats": pages.formats(request)}
    if error is not None:
        return HTMLResponse(pages.render(request, "accounts.html", {"accounts": rows, **context}), 422)
    return pages.answer(request, "accounts.html", {"accounts": rows}, rows=rows, name="accounts", **context)


def _one(request: Request, user_id: str, error: TriageError | None = None) -> Response:
    with store(request).reader() as session:
        rows = [row for row in overview.overview(session, actor(request)) if row["user_id"] == user_id]
        if not rows:
            raise NotFoundError("There is no such account.")
        data = {"account": rows[0], **overview.given_out(session, actor(request), user_id)}
    context = {**_options(), "errors": _errors(error), "formats": pages.formats(request, csv=False)}
    if error is not None:
        return HTMLResponse(pages.render(request, "account_one.html", {**data, **context}), 422)
    return pages.answer(request, "account_one.html", data, **context)


def _errors(error: TriageError | None) -> list[dict[str, Any]]:
    return [{"text": str(error), "href": "#account-form"}] if error else []


def _options() -> dict[str, Any]:
    return {
        "role_options": [(r, r.title() if r != "dmi" else "DMI") for r in permissions.ROLES],
        "compartment_options": [(c, c.upper()) for c in senders.COMPARTMENTS],
    }
