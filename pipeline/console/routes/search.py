"""The one search: from whatever somebody has in hand to the cases that know it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse

from pipeline import policy
from pipeline.console import pages, search
from pipeline.console.context import actor, evidence, settings, writing
from pipeline.errors import UsageError

router = APIRouter()


@router.get("/search", name="search")
def form(request: Request) -> Response:
    """The search on a page of its own. What is searched is never in an address, so that no log of a server has it."""
    return pages.answer(request, "search.html", {"text": "", "hits": None}, errors=[], most=search.CASES)


@router.post("/search", name="searched")
def ask(request: Request, text: Annotated[str, Form()] = "") -> Response:
    """Cases in which the text is found, gravest first, and what was found; logged as a consultation."""
    near = int(policy.load(settings(request), "matching").data["algorithms"]["pdq"]["radius"])
    try:
        with writing(request) as session:
            hits = search.search(session, actor(request), evidence(request), text, near)
    except UsageError as error:
        if pages.chosen_format(request) != "html":
            raise
        wrong = [{"href": "#text", "text": f"{error.message} {error.remedy}".strip()}]
        shown = {"text": text, "hits": None, "errors": wrong, "most": search.CASES}
        return HTMLResponse(pages.render(request, "search.html", shown), 400)
    data = {"text": text, "hits": [vars(hit) for hit in hits]}
    rows = [
        {
            "case_id": h.case_id,
            "band": h.band,
            "state": h.state,
            "holder": h.holder,
            "kind": f["kind"],
            "value": f["value"],
        }
        for h in hits
        for f in h.found
    ]
    return pages.answer(request, "search.html", data, rows=rows, name="search", errors=[], most=search.CASES)
