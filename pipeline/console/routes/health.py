"""Whether the console works, for the proxy and the container; and the description of the HTTP API."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy import text

from pipeline import __version__
from pipeline.console.context import store

router = APIRouter()


@router.get("/health", name="health")
def health(request: Request) -> Response:
    """200 when the case store answers. Says nothing about its content."""
    with store(request).reader() as session:
        session.execute(text("SELECT 1"))
    return JSONResponse({"status": "ok", "version": __version__})


@router.get("/api/openapi.json", name="openapi")
def openapi(request: Request) -> Response:
    """The OpenAPI description of every route."""
    return JSONResponse(request.app.openapi())
