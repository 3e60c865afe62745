"""Who is asking: sign-in, session cookie, form token, API token, and the access check that runs before every route."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from pipeline.console.api import forms
from pipeline.console.gate import access
from pipeline.console.gate.security import SAFE_METHODS
from pipeline.errors import PermissionDeniedError, UsageError
from pipeline.people import sessions
from pipeline.settings import Settings
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.opening import Store

BREAK_AFTER_MINUTES = 50
"""Work without a break after which one is offered (Police Care UK: ten minutes out of each hour)."""
FORM_SECONDS = 3600
"""How long the sign-in form stays valid."""


class NotSignedInError(PermissionDeniedError):
    """Nobody is signed in, or the session has ended."""


class NotFoundError(UsageError):
    """What was asked for is not there, or not for this person."""


@dataclass(frozen=True)
class Visitor:
    """The signed-in person of one request. `csrf` is the session's form token; `via` is cookie or token.

    `offer_break` is the number of minutes worked when a break is due, else 0; `scope` is a token's.
    """

    actor: Actor
    csrf: str
    via: str
    token: str
    offer_break: int = 0
    data: dict[str, Any] = field(default_factory=dict)
    scope: str = ""


async def authorise(request: Request) -> None:
    """Refuse the request unless the access matrix lets this person pass; sets `request.state.visitor`.

    Raises NotSignedInError, PermissionDeniedError (also for a route without an entry and for a wrong form token).
    """
    entry = access.rule(request.method, request.scope["route"].path)
    visitor = await run_in_threadpool(identify, request)
    request.state.visitor = visitor
    if request.method not in SAFE_METHODS and _is_form(request):
        # kept for the page that shows a refused form again, so that nothing typed is lost
        request.state.sent = {k: v for k, v in (await request.form()).items() if isinstance(v, str)}
    if entry is None:
        raise PermissionDeniedError("This address has no rule of access.")
    if not access.may(visitor.actor if visitor else None, entry):
        if visitor is None:
            raise NotSignedInError("You are not signed in, or your session has ended.", "Sign in and try again.")
        raise PermissionDeniedError(
            "Your account may not do this.", "If your work needs it, ask your administrator for the role."
        )
    if visitor is not None and visitor.via == "token":
        path = request.scope["route"].path
        if not access.token_may(visitor.scope, request.method, path):
            raise PermissionDeniedError(
                "An API token may not do this.", "Sign in with a browser, or make a token with the scope for it."
            )
    if visitor is not None and entry != access.PUBLIC and forms.wanted(request) == "csv":  # a file to take along
        await run_in_threadpool(_log_export, request, visitor.actor)
    if request.method not in SAFE_METHODS and visitor is not None and visitor.via == "cookie":
        sent = (await request.form()).get("csrf")
        if not isinstance(sent, str) or not hmac.compare_digest(sent.encode(), visitor.csrf.encode()):
            raise PermissionDeniedError(
                "The form is too old or not ours.", "Go back, reload the page and send it again."
            )


def _is_form(request: Request) -> bool:
    """Whether the request brings the fields of one of our pages; nobody's form is read who had never signed in. Somebody who
    has signed out in another window is known by the cookie of the sign-in form."""
    plain = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    known = {cookie_name(request.app.state.settings), _form_cookie(request)}
    return plain and not known.isdisjoint(request.cookies)


def _log_export(request: Request, actor: Actor) -> None:
    """Log that a list leaves as a file, before it is made, as the export commands do."""
    about = request.scope["route"].path
    with request.app.state.writers.session() as session:
        audit.record(
            session, actor, "disclosure", "exported.web", case_id=request.path_params.get("number"), object_=about,
            recipient=actor.user_id, detail={"query": request.url.query[:500]},
        )  # fmt: skip


def identify(request: Request) -> Visitor | None:
    """The person of the request's API token or session cookie; None when there is neither or it has ended."""
    store: Store = request.app.state.store
    header = request.headers.get("authorization", "")
    if header:
        scheme, _, secret = header.partition(" ")
        if scheme.lower() != "bearer":
            return None
        with store.reader() as session:
            bearer = sessions.bearer(session, secret.strip())
        return Visitor(bearer.actor, "", "token", "", scope=bearer.scope) if bearer else None
    token = request.cookies.get(cookie_name(request.app.state.settings))
    if not token:
        return None
    with store.reader() as session:
        found = sessions.resume(session, token)
    if found is None:
        return None
    if found.touch:
        with request.app.state.writers.session() as session:
            sessions.touch(session, token)
    return Visitor(found.actor, found.csrf, "cookie", token, _break_due(found.data, store.clock()), found.data)


def _break_due(data: dict[str, Any], now: datetime) -> int:
    """Minutes worked since the last break when one is due, else 0."""
    since = data.get("working_since")
    minutes = int((now - datetime.fromisoformat(since)).total_seconds() // 60) if since else 0
    return minutes if minutes >= BREAK_AFTER_MINUTES else 0


def begin(request: Request, response: Response, actor: Actor) -> None:
    """Open a session for a person who has just signed in. The token is new: one that was set before is worth nothing."""
    store: Store = request.app.state.store
    old = request.cookies.get(cookie_name(request.app.state.settings))
    with request.app.state.writers.session() as session:
        if old:
            sessions.end(session, old)
        token = sessions.start(session, actor, {"working_since": store.clock().isoformat()})
    _set(request, response, cookie_name(request.app.state.settings), token)


def finish(request: Request, response: Response) -> None:
    """End the session, here and in the store."""
    name = cookie_name(request.app.state.settings)
    with request.app.state.writers.session() as session:
        sessions.end(session, request.cookies.get(name, ""))
    response.delete_cookie(
        name, path="/", httponly=True, samesite="strict", secure=request.app.state.settings.console_tls
    )


def form_token(request: Request, response: Response) -> str:
    """The token of the sign-in form, which has no session yet: a random value in a cookie of its own and in the form."""
    token = request.cookies.get(_form_cookie(request)) or secrets.token_urlsafe(24)
    _set(request, response, _form_cookie(request), token, FORM_SECONDS)
    return token


def check_form_token(request: Request, sent: str) -> None:
    """Raises PermissionDeniedError unless form and cookie hold the same token."""
    held = request.cookies.get(_form_cookie(request), "")
    if not held or not hmac.compare_digest(held.encode(), sent.encode()):
        raise PermissionDeniedError("The sign-in form is too old.", "Load it again; your browser must accept cookies.")


def address(request: Request) -> str:
    """Where the request comes from, as far as the server knows (behind a proxy: what the trusted proxy says)."""
    return request.client.host if request.client else "unknown"


def cookie_name(settings: Settings) -> str:
    """Name of the session cookie; bound to the host where browsers come by HTTPS."""
    return "__Host-triage" if settings.console_tls else "triage"


def _form_cookie(request: Request) -> str:
    return cookie_name(request.app.state.settings) + "-form"


def _set(request: Request, response: Response, name: str, value: str, seconds: int | None = None) -> None:
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.app.state.settings.console_tls,
    )


def safe_target(text: str) -> str:
    """A path of this site to go to after signing in; "/queue" for anything else (no other host, no control character)."""
    plain = text.isascii() and text.isprintable() and "\\" not in text
    if not plain or not text.startswith("/") or text.startswith(("//", "/sign-")):
        return "/queue"
    return text


def sign_in_url(target: str) -> str:
    """The sign-in page that leads on to `target`."""
    return "/sign-in" if target in {"/", "/queue"} else f"/sign-in?next={quote(target, safe='')}"
