"""The outer wall of the console: which hosts it answers to, how large a request may be, and the headers of every answer.

Pure ASGI, outside of every route, so that error pages and static files have the same headers.
No picture can pass: the policy tells the browser to load none, and an answer of an image type is replaced by an error.
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.console.api import forms

POLICY = (
    "default-src 'none'; img-src 'none'; media-src 'none'; style-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)

HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), display-capture=()",
    "X-Robots-Tag": "noindex, nofollow",
}

BODY_LIMIT = 8 << 20
"""Largest request body in bytes: a list of about 100,000 hashes."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class TooLarge(HTTPException):
    """The body went over the limit while it was read."""

    def __init__(self) -> None:
        super().__init__(413, f"The request is larger than {BODY_LIMIT >> 20} MiB.")


class Wall:
    """Wraps the application. `hosts` are the host names it answers to, without port; `tls` adds HSTS."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str], tls: bool) -> None:
        self.app = app
        self.hosts = frozenset(host.lower() for host in hosts)
        self.headers = dict(HEADERS)
        if tls:
            self.headers["Strict-Transport-Security"] = "max-age=63072000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await self._refuse(scope, send, *refusal)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > BODY_LIMIT:
                raise TooLarge
            return message

        async def outward(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._harden(message)
            await send(message)

        await self.app(scope, counted, outward)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "").rsplit(":", 1)[0].strip("[]").lower()
        if host not in self.hosts:
            return 421, "This server does not answer to that host name."
        try:
            if int(headers.get("content-length", "0")) > BODY_LIMIT:
                return 413, f"The request is larger than {BODY_LIMIT >> 20} MiB."
        except ValueError:
            return 400, "The content length is not a number."
        if scope["method"] not in SAFE_METHODS and not self._same_origin(headers):
            return 403, "The request came from another site."
        return None

    def _same_origin(self, headers: Headers) -> bool:
        """Browsers state where a form was sent from; what states nothing is no browser form (API clients)."""
        if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            return False
        origin = headers.get("origin")
        if origin is None:
            return True
        return origin.partition("://")[2] == headers.get("host", "")

    def _harden(self, message: Message) -> None:
        answer = MutableHeaders(raw=message["headers"])
        if answer.get("content-type", "").lower().startswith(("image/", "video/")):
            raise RuntimeError("An answer of an image or video type was about to be sent.")
        for name, value in self.headers.items():
            if name != "Cache-Control" or "cache-control" not in answer:
                answer[name] = value
        message["headers"] = answer.raw

    async def _refuse(self, scope: Scope, send: Send, status: int, text: str) -> None:
        body, kind = f"{text}\n".encode(), "text/plain; charset=utf-8"
        if forms.wanted(Request(scope)) == "json":
            body, kind = (
                orjson.dumps({"error": "Refused at the door", "message": text, "remedy": ""}),
                "application/json",
            )
        pairs = [("Content-Type", kind), ("Content-Length", str(len(body)))]
        raw = [(k.lower().encode(), v.encode()) for k, v in [*pairs, *self.headers.items()]]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})
