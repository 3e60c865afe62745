"""The operator's lists: packages in quarantine with the text to send back, marked when it was sent; packages that wait."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.orm import Session

from pipeline import senders
from pipeline.console import pages
from pipeline.console.context import actor, settings, store, writing
from pipeline.console.gate.identity import NotFoundError
from pipeline.console.routes.work import FormText
from pipeline.errors import UsageError
from pipeline.ingest import quarantine
from pipeline.ingest.stage import waiting_file
from pipeline.lake import Lake
from pipeline.store import recording as audit
from pipeline.store.operations import Mark

router = APIRouter()

MARK = "sent-back:"
COMPARTMENTS = {source.folder: source.compartment for source in senders.SOURCES.values() if source.compartment}
"""Landing folders whose packages only those with the compartment see."""


@router.get("/quarantine", name="quarantine")
def show(request: Request) -> Response:
    """What is returned for information and not put right, the longest clock first, with its text; and what waits."""
    with store(request).reader() as session:
        sent = _sent(session)
    now = store(request).clock()
    rows = [
        {
            "package_id": p.package_id,
            "container": p.container,
            "landing_folder": p.landing_folder,
            "clock_from": p.clock_from,
            "hours": p.hours(now),
            "times": p.returned,
            "reasons": p.reasons,
            "text": _text(request, p),
            **sent.get(p.package_id, {"sent_at": None, "sent_by": None, "sent_to": None}),
        }
        for p in _outstanding(request)
    ]
    data = {"returned": rows, "waiting": _waiting(request)}
    return pages.answer(request, "quarantine.html", data, rows=rows, name="quarantine", formats=pages.formats(request))


@router.post("/quarantine/{package_id}/sent", name="quarantine_sent")
def sent_back(request: Request, package_id: str, recipient: FormText = "") -> Response:
    """Mark that the text was sent back, to whom, by whom and when."""
    if package_id not in {p.package_id for p in _outstanding(request)}:
        raise NotFoundError("There is no such package in quarantine.")
    if not recipient.strip():
        raise UsageError("Say to whom the text was sent.")
    who = actor(request)
    with writing(request) as session:
        value = json.dumps({"sent_by": who.user_id, "sent_to": recipient.strip()[:200]})
        session.merge(Mark(name=MARK + package_id, value=value, at=store(request).clock()))
        audit.record(
            session,
            who,
            "disclosure",
            "package.sent_back",
            object_=f"package:{package_id}",
            recipient=recipient.strip(),
        )
    return RedirectResponse("/quarantine?done=sent-back", 303)


def _outstanding(request: Request) -> list[quarantine.Outstanding]:
    """Without packages of a compartment that the person does not have."""
    held = actor(request).compartments
    found = quarantine.outstanding(Lake.of(settings(request)))
    return [p for p in found if COMPARTMENTS.get(p.landing_folder) is None or COMPARTMENTS[p.landing_folder] in held]


def _text(request: Request, package: quarantine.Outstanding) -> str:
    path = settings(request).quarantine_dir / f"{package.package_id}.txt"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    return quarantine.notice_text(package.container, package.package_id, package.clock_from, package.reasons)


def _sent(session: Session) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for mark in session.scalars(sa.select(Mark).where(Mark.name.startswith(MARK))):
        found[mark.name.removeprefix(MARK)] = {"sent_at": mark.at, **json.loads(mark.value)}
    return found


def _waiting(request: Request) -> dict[str, Any]:
    """Packages that the last run left waiting, as far as the person may know of them; `as_of` is None before the first run."""
    path = waiting_file(settings(request))
    if not path.is_file():
        return {"as_of": None, "packages": []}
    found = json.loads(path.read_bytes())
    held = actor(request).compartments
    packages = [
        {**p, "landing_folder": p["container"].partition("/")[0]} for p in found["packages"]
    ]  # whoever wrote them
    needed = [(p, COMPARTMENTS.get(p["landing_folder"])) for p in packages]
    shown = [package for package, compartment in needed if compartment is None or compartment in held]
    return {"as_of": datetime.fromisoformat(found["as_of"]), "packages": shown}
