"""The auditor's page: filter the log, verify it in one step, take it along; and how far it is anchored outside the store."""

from __future__ import annotations

import tempfile
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse
from sqlalchemy import select
from starlette.background import BackgroundTask

from pipeline.audit import log, questions
from pipeline.britishtime import LONDON
from pipeline.cases import words as spoken
from pipeline.console import pages
from pipeline.console.context import actor, store, writing
from pipeline.console.routes.work import FormText
from pipeline.errors import IntegrityError, UsageError
from pipeline.store import recording
from pipeline.store.people_tables import User

router = APIRouter()

PAGE = 100
"""Entries on one page; CSV has LONGEST."""
LONGEST = 10_000
SHOWN = (
    "seq",
    "at",
    "user_id",
    "user_name",
    "category",
    "action",
    "case_id",
    "object",
    "reason",
    "recipient",
    "detail",
)
FILTERS = ("asked", "case", "person", "category", "since", "until")
ASKED = {
    "": "All entries",
    "seen": "Who looked (choose a case) or what was opened (choose a person)",
    "unclaimed": "Texts opened by somebody who did not hold the case",
}


@router.get("/audit", name="audit")
def show(
    request: Request,
    *,
    asked: str = "",
    case: Annotated[str, Query(max_length=40)] = "",
    person: Annotated[str, Query(max_length=64)] = "",
    category: str = "",
    since: Annotated[str, Query(max_length=10)] = "",
    until: Annotated[str, Query(max_length=10)] = "",
    after: Annotated[str, Query(pattern=r"^\d{0,18}$")] = "",
) -> Response:
    """Entries of the log, newest first, by case, person, category and days. Looking is logged too."""
    picked = {"asked": asked, "case": case.strip().upper(), "person": person.strip(), "category": category}
    return _page(request, {**picked, "since": since, "until": until}, after)


@router.post("/audit/verify", name="audit_verify")
def verify(request: Request) -> Response:
    """Check the whole chain and every anchor; what was found is on the page, also where the log was altered."""
    try:
        found = log.verify(store(request), actor(request))
        result = {"intact": True, "entries": found.entries, "anchors": found.anchors, "text": "The log is intact."}
        if not found.anchors:
            result["text"] = "The log is intact as far as it can tell by itself: there is no anchor yet."
    except IntegrityError as error:
        result = {"intact": False, "entries": None, "anchors": None, "text": str(error)}
    return _page(request, verified=result)


@router.post("/audit/export", name="audit_export")
def export(request: Request, recipient: FormText = "", reason: FormText = "") -> Response:
    """The whole log as JSON lines, which `triage audit verify --file` checks anywhere. A disclosure, logged before it is written."""
    if not recipient.strip():
        raise UsageError("Say who receives the log.")
    folder = Path(tempfile.mkdtemp(prefix="audit-"))
    path = folder / "audit.jsonl"
    try:
        log.export(store(request), actor(request), path, recipient.strip(), reason)
    except BaseException:
        _remove(folder)
        raise
    return FileResponse(
        path, media_type="application/x-ndjson", filename="audit.jsonl", background=BackgroundTask(_remove, folder)
    )


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def _reads(request: Request) -> bool:
    return "auditor" in actor(request).roles


def _page(
    request: Request, picked: dict[str, str] | None = None, after: str = "", verified: dict[str, Any] | None = None
) -> Response:
    picked = picked or dict.fromkeys(FILTERS, "")
    asked, case, person = picked["asked"], picked["case"] or None, picked["person"] or None
    whole = pages.chosen_format(request) == "csv"
    limit = LONGEST if whole else PAGE
    since, until = _day(picked["since"]), _day(picked["until"], 1)
    with writing(request) as session:
        if not _reads(request):
            found: list[Any] = []  # an administrator verifies; the entries are the auditor's
        elif asked == "unclaimed":
            found = list(questions.texts_without_claim(session, actor(request), case_id=case, user_id=person))
        else:
            found = list(
                log.entries(
                    session, actor(request), case_id=case, user_id=person,
                    category="consultation" if asked == "seen" else picked["category"] or None, since=since, until=until,
                    before=int(after) if after else None, limit=limit + 1,
                )
            )  # fmt: skip
        rows = [{name: getattr(entry, name) for name in SHOWN} for entry in found[:limit]]
    following = pages.with_value(request, "after", str(rows[-1]["seq"])) if len(found) > limit else None
    data = {"entries": rows, "next": following, "verified": verified}
    return pages.answer(request, "audit.html", data, rows=rows, name="audit", **_frame(request, picked, after))


def _frame(request: Request, picked: dict[str, str], after: str) -> dict[str, Any]:
    with store(request).reader() as session:
        anchored = questions.anchor_state(session)
        people = [(u, f"{name} ({u})") for u, name in session.execute(select(User.user_id, User.name))]
    return {
        "anchored": anchored,
        "picked": picked,
        "people": sorted([*people, *_left(picked["person"], people)], key=lambda p: p[1].casefold()),
        "asked_options": list(ASKED.items()),
        "categories": [(c, c.title()) for c in recording.CATEGORIES],
        "reads": _reads(request),
        "why": lambda code: spoken.any_reason(store(request).rules, code),
        "formats": pages.formats(request),
        "previous": pages.without(request, "after") if after else None,
    }


def _left(user_id: str, people: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The person asked for, where there is no such account any more."""
    return [(user_id, user_id)] if user_id and user_id not in dict(people) else []


def _day(text: str, later: int = 0) -> str | None:
    """The beginning of a British day (or of the one `later` days after) as the log writes moments. Raises UsageError."""
    if not text:
        return None
    try:
        day = date.fromisoformat(text) + timedelta(days=later)
    except (ValueError, OverflowError):
        raise UsageError("A day is written as 2026-11-21.") from None
    return datetime.combine(day, time(), LONDON).astimezone(UTC).isoformat()
