"""Whether the console works, what is wrong, the measures for Prometheus; and the description of the HTTP API."""

from __future__ import annotations

import hmac

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy import text
from starlette.exceptions import HTTPException

from pipeline import __version__
from pipeline.console.context import store
from pipeline.watch import alarms, exposition, measures

router = APIRouter()


@router.get("/ready", name="ready")
def ready(request: Request) -> Response:
    """200 when requests can be answered: the case store does. For probes of the proxy and of containers."""
    with store(request).reader() as session:
        session.execute(text("SELECT 1"))
    return JSONResponse({"status": "ok"})


@router.get("/health", name="health")
def health(request: Request) -> Response:
    """What is wrong: kinds of open alarms and since when; no figures, no names. 503 when the case store does not answer."""
    wrong = [
        {"kind": alarm.kind, "what": alarms.KINDS[alarm.kind], "since": alarm.raised_at.isoformat()}
        for alarm in alarms.open_ones(store(request))
    ]
    return JSONResponse({"status": "needs a person" if wrong else "ok", "wrong": wrong, "version": __version__})


@router.get("/metrics", name="metrics")
def metrics(request: Request) -> Response:
    """The measures in Prometheus' text format, for whoever has the token of TRIAGE_METRICS_TOKEN_FILE."""
    path = request.app.state.settings.metrics_token_file
    if path is None:
        raise HTTPException(404)
    given = request.headers.get("authorization", "").encode("utf-8", "surrogateescape")
    if not hmac.compare_digest(given, f"Bearer {path.read_text().strip()}".encode()):
        raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})
    return Response(exposition.page(measures.snapshot(store(request))), media_type=exposition.CONTENT_TYPE)


@router.get("/api/openapi.json", name="openapi")
def openapi(request: Request) -> Response:
    """The OpenAPI description of every route."""
    return JSONResponse(request.app.openapi())
