"""Signing in and out, the stylesheets, and the way to the queue."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from pipeline.console import pages
from pipeline.console.context import store
from pipeline.console.gate import identity
from pipeline.console.gate.provider import PATH
from pipeline.errors import PermissionDeniedError
from pipeline.people import users

router = APIRouter()


@router.get("/", name="home")
def home(request: Request) -> Response:
    """To the first page of the person's role."""
    roles = request.state.visitor.actor.roles
    return RedirectResponse("/queue" if roles & {"analyst", "supervisor", "dmi", "auditor"} else "/dashboard", 303)


@router.get("/sign-in", name="sign_in")
def form(request: Request, next: str = "/queue") -> Response:
    """The sign-in form; who is signed in already goes on."""
    target = identity.safe_target(next)
    if request.state.visitor is not None:
        return RedirectResponse(target, 303)
    return _page(request, target, "", [])


@router.post("/sign-in", name="sign_in_post")
def sign_in(
    request: Request,
    name: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/queue",
    csrf: Annotated[str, Form()] = "",
) -> Response:
    """Check the password, open a session, go on to where the person wanted to."""
    identity.check_form_token(request, csrf)
    target = identity.safe_target(next)
    try:
        actor = users.sign_in(store(request), name.strip().lower(), password, identity.address(request))
    except PermissionDeniedError as error:
        return _page(request, target, name, [{"text": error.message, "href": "#f-name"}], 403)
    response = RedirectResponse(target if target != "/queue" else "/", 303)
    identity.begin(request, response, actor)
    return response


@router.post("/sign-out", name="sign_out")
def sign_out(request: Request) -> Response:
    """End the session."""
    response = RedirectResponse("/sign-in", 303)
    identity.finish(request, response)
    return response


@router.get("/static/{name}", name="static")
def static(name: str) -> Response:
    """The two stylesheets, from memory; no other file can be named."""
    data = pages.static_files().get(name)
    if data is None:
        raise identity.NotFoundError("There is no such file.")
    return Response(data, media_type="text/css", headers={"Cache-Control": "public, max-age=31536000, immutable"})


def _provider_link(request: Request, target: str) -> str:
    """Address of the sign-in by the identity provider, empty where none is set up."""
    if request.app.state.provider is None:
        return ""
    return PATH if target == "/queue" else f"{PATH}?next={quote(target, safe='')}"


def _page(request: Request, target: str, name: str, errors: list[dict[str, str]], status: int = 200) -> Response:
    response = HTMLResponse("", status)
    token = identity.form_token(request, response)
    context = {
        "errors": errors,
        "name": name[:64],
        "next": target,
        "csrf": token,
        "oidc": _provider_link(request, target),
    }
    page = HTMLResponse(pages.render(request, "sign_in.html", context), status)
    page.raw_headers += [h for h in response.raw_headers if h[0] == b"set-cookie"]
    return page
