"""Signing in with the force's own account (OpenID Connect), where an identity provider is configured."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool

from pipeline.console import pages
from pipeline.console.context import settings, writing
from pipeline.console.gate import identity
from pipeline.console.gate.provider import PATH, Provider
from pipeline.errors import PermissionDeniedError
from pipeline.people import oidc
from pipeline.store.actors import Actor

router = APIRouter()


@router.get(PATH, name="provider")
async def begin(request: Request, next: str = "/queue") -> Response:
    """To the identity provider's page, and from there back to `provider_done`."""
    return await _provider(request).begin(request, _callback(request), identity.safe_target(next))


@router.get(f"{PATH}/done", name="provider_done")
async def done(request: Request) -> Response:
    """Where the identity provider sends the person back to: open a session for whom it vouches."""
    provider = _provider(request)
    target = identity.safe_target(str(request.session.get("target", "")))
    claims = await provider.finish(request)
    actor = await run_in_threadpool(_admit, request, claims)
    # The session cookie is for this site alone (SameSite=Strict), and a redirect would still count as the provider's:
    # this page is ours, and so is the step on from it.
    context = {
        "heading": "You are signed in",
        "text": f"As {actor.name}.",
        "remedy": "",
        "back": target,
        "back_text": "Go on",
        "typed": [],
    }
    page = HTMLResponse(pages.render(request, "message.html", context), headers={"Refresh": f"0; url={target}"})
    await run_in_threadpool(identity.begin, request, page, actor)
    return page


def _provider(request: Request) -> Provider:
    found: Provider | None = request.app.state.provider
    if found is None:
        raise identity.NotFoundError("No identity provider is set up here.", "Sign in with your name and password.")
    return found


def _callback(request: Request) -> str:
    """The address registered with the provider, by the host name that the browser used (one that we answer to)."""
    scheme = "https" if settings(request).console_tls else "http"
    return f"{scheme}://{request.headers['host']}{PATH}/done"


def _admit(request: Request, claims: dict[str, Any]) -> Actor:
    try:
        with writing(request) as session:
            return oidc.admit(session, claims)
    except PermissionDeniedError as error:
        with writing(request) as session:
            oidc.refused(session, claims, error.message)
        raise
