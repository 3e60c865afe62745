"""Graded results that come back: the export of the grading tool is uploaded for a case, shown as it was read, and sent."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, File, Path, Request, Response, UploadFile
from fastapi.responses import RedirectResponse

from pipeline.console import pages
from pipeline.console.context import actor, settings, writing
from pipeline.console.gate.security import BODY_LIMIT
from pipeline.console.routes.work import FormText
from pipeline.errors import ConflictError, InputError
from pipeline.night.grading import uploads

router = APIRouter()
UploadNumber = Annotated[int, Path(ge=0, le=2**31)]
"""A number that the store can hold."""
SHOWN = ("upload_id", "file_name", "state", "entries", "rejected", "files", "fitting", "at", "by", "settled_at", "text")
"""What the page and JSON say of an upload."""


@router.get("/cases/{number}/graded", name="graded")
def show(request: Request, number: str) -> Response:
    """The form, what waits to be sent, and what became of earlier uploads."""
    return _page(request, number)


@router.post("/cases/{number}/graded", name="check_graded")
def check(
    request: Request,
    number: str,
    *,
    source: FormText = "",
    file: Annotated[UploadFile | None, File()] = None,
) -> Response:
    """Read the file and keep it as checked; nothing is attached before it is sent."""
    given: dict[str, Any] = (
        {"name": "", "content": b""} if file is None else {"name": file.filename, "content": file.file.read()}
    )
    try:
        if not given["name"]:
            raise InputError("Choose the file that the grading tool exported.")
        with writing(request) as session:
            uploads.check(settings(request), session, actor(request), number, source_id=source, **given)
    except (InputError, ConflictError) as error:
        if pages.chosen_format(request) != "html":
            raise
        # an upload is no form whose fields are kept for showing it again: said here
        sent = {"form": "graded", "source": source}
        return refused(request, number, pages.RefusedForm(sent, error, 422))
    return _back(number, "read-graded")


@router.post("/cases/{number}/graded/{upload_id}/send", name="send_graded")
def send(request: Request, number: str, upload_id: UploadNumber) -> Response:
    """Let a checked file be attached to the case."""
    with writing(request) as session:
        uploads.send(session, actor(request), number, upload_id)
    return _back(number, "sent-graded")


@router.post("/cases/{number}/graded/{upload_id}/withdraw", name="withdraw_graded")
def withdraw(request: Request, number: str, upload_id: UploadNumber) -> Response:
    """Let go of a checked file."""
    with writing(request) as session:
        uploads.withdraw(session, actor(request), number, upload_id)
    return _back(number, "withdrawn-graded")


def refused(request: Request, number: str, form: pages.RefusedForm) -> Response:
    """The page again, with what is wrong with the file on top."""
    return _page(request, number, form)


def _back(number: str, done: str) -> Response:
    return RedirectResponse(f"/cases/{number}/graded?done={done}", 303)


def _page(request: Request, number: str, refused: pages.RefusedForm | None = None) -> Response:
    with writing(request) as session:
        found = uploads.of_case(session, actor(request), number)
        listed = [{name: getattr(row, name) for name in SHOWN} for row in found]
    data = {"number": number, "uploads": listed}
    words: dict[str, Any] = {
        "sources": uploads.own_sources(settings(request)),
        "limit": BODY_LIMIT >> 20,
    }
    at = None if refused and refused.status == 409 else "graded-file"
    return pages.with_form(request, "graded.html", data, words, refused=refused, at=at)
