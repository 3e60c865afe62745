"""One's own work: next duties, what one waits for, what came back, what changed since one looked."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from pipeline.audit import exposure
from pipeline.cases.views import mine as views
from pipeline.console import pages, wording
from pipeline.console.context import actor, store

router = APIRouter()


@router.get("/mine", name="mine")
def show(request: Request) -> Response:
    """The cases that this person holds, by their next duty, and what came of what they asked of others."""
    with store(request).reader() as session:
        found = views.mine(session, actor(request))
        opened = exposure.own(session, actor(request))
    now = store(request).clock()
    duties: list[dict[str, Any]] = [vars(duty) for duty in found.duties]
    data: dict[str, Any] = {
        "as_of": now,
        "duties": duties,
        "waiting": [vars(row) for row in found.waiting],
        "back": [vars(row) for row in found.back],
        "changed": [vars(row) for row in found.changed],
        "texts_opened": [{"day": row.day, "texts": row.texts} for row in opened],
    }
    return pages.answer(
        request,
        "mine.html",
        data,
        rows=[{**duty, "top_reasons": "; ".join(duty["top_reasons"])} for duty in duties],
        name="mine",
        due_words=lambda at: wording.due(at, now),
        age=lambda at: wording.duration(now - at),
        formats=pages.formats(request),
    )
