"""Which form of answer a request asks for: a page, JSON or CSV. One rule for answers, errors and what follows a deed."""

from __future__ import annotations

from starlette.requests import Request

FORMATS = ("html", "json", "csv")


def named(request: Request) -> str | None:
    """What `?format=` says, as it stands; None without it."""
    return request.query_params.get("format") or None


def wanted(request: Request) -> str:
    """html, json or csv: by `?format=`, then by Accept; a request with a token, or below /api/, is a program's: json.

    An unknown `?format=` counts as json, since no browser writes one.
    """
    asked = named(request)
    if asked is not None:
        return asked if asked in FORMATS else "json"
    if request.url.path.startswith("/api/"):
        return "json"
    accept = request.headers.get("accept", "")
    if "text/html" in accept:
        return "html"
    if "application/json" in accept or "+json" in accept:
        return "json"
    if "text/csv" in accept:
        return "csv"
    return "json" if "authorization" in request.headers else "html"
