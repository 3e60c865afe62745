"""What a program is told that did something, where a browser is sent on to a page.

A pure ASGI layer around the routes: an answer of 303 to a request that asks for JSON becomes 200 with what was done and,
where it was done to a case, how the case stands now. So a route has one way of answering, and none can forget the other.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.cases import cases
from pipeline.console.api import forms
from pipeline.console.notices import NOTICES
from pipeline.errors import TriageError

SENT_ON = 303
STATE = ("case_id", "state", "band", "holder", "due_at", "version")
"""What is told of a case after something was done to it."""


class Plainly:
    """Wraps the application inside the wall; what a browser asks for passes as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or forms.wanted(Request(scope)) == "html":
            await self.app(scope, receive, send)
            return
        turned = False

        async def outward(message: Message) -> None:
            nonlocal turned
            if message["type"] == "http.response.start" and message["status"] == SENT_ON:
                turned = True
                await _answer(scope, message, send)
            elif not turned:
                await send(message)

        await self.app(scope, receive, outward)


async def _answer(scope: Scope, message: Message, send: Send) -> None:
    location = Headers(raw=message["headers"]).get("location", "")
    body = orjson.dumps(await run_in_threadpool(_told, scope, location))
    kept = [(k, v) for k, v in message["headers"] if k.lower() not in {b"location", b"content-length", b"content-type"}]
    headers = MutableHeaders(raw=kept)
    headers["Content-Type"], headers["Content-Length"] = "application/json", str(len(body))
    await send({**message, "status": 200, "headers": headers.raw})
    await send({"type": "http.response.body", "body": body})


def _told(scope: Scope, location: str) -> dict[str, Any]:
    """`done` is the word of the notice that a page would show, `text` its sentence, `case` the state of the case."""
    parts = urlsplit(location)
    done = parse_qs(parts.query).get("done", [""])[0]
    number = (
        parts.path.removeprefix("/cases/")
        if parts.path.startswith("/cases/")
        else scope.get("path_params", {}).get("number")
    )
    return {
        "done": done or "ok",
        "text": NOTICES.get(done, (True, ""))[1],
        "next": parts.path,
        "case": _state(scope, number) if number else None,
    }


def _state(scope: Scope, number: str) -> dict[str, Any] | None:
    visitor = scope.get("state", {}).get("visitor")
    if visitor is None:
        return None
    with scope["app"].state.store.reader() as session:
        try:
            case = cases.find(session, visitor.actor, number, "case.read")
        except TriageError:  # erased, or in a compartment that the person does not have: nothing is told of it
            return None
        return {name: getattr(case, name) for name in STATE}
