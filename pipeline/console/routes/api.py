"""Signing in and out for programs: a password becomes a token that lives a day."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from pipeline.console import pages
from pipeline.console.context import actor, store, visitor, writing
from pipeline.console.gate import identity
from pipeline.errors import UsageError
from pipeline.people import sessions, users

router = APIRouter()


class SignInBody(BaseModel):
    """An account of this console and its password."""

    name: str = Field(max_length=64)
    password: str = Field(max_length=1024)


@router.post("/api/sign-in", name="api_sign_in")
def sign_in(request: Request, asked: SignInBody) -> Response:
    """Sign in: a token for `Authorization: Bearer`, with the scope to work, for one day. It is shown once."""
    person = users.sign_in(store(request), asked.name.strip().lower(), asked.password, identity.address(request))
    with writing(request) as session:
        row, secret = sessions.create_token(session, person, "signed in by the API", 1, "work")
        answer = {
            "token": secret,
            "token_id": row.token_id,
            "scope": row.scope,
            "expires_at": row.expires_at,
            "name": person.name,
            "roles": sorted(person.roles),
        }
    return JSONResponse(pages.plain(answer))


@router.post("/api/sign-out", name="api_sign_out")
def sign_out(request: Request) -> Response:
    """End the token with which this is asked. Raises UsageError for a browser's session."""
    seen = visitor(request)
    if seen.via != "token":
        raise UsageError("There is no token to end.", "A browser signs out by its own button.")
    secret = request.headers["authorization"].partition(" ")[2].strip()
    with writing(request) as session:
        sessions.revoke_token(session, actor(request), sessions.token_id(session, secret))
    return JSONResponse({"done": "signed-out", "text": "The token is ended.", "next": "/api/sign-in", "case": None})
