"""What has to be told to whom, as pages: the referral to children's services as a form, and what one is told oneself."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import select

from pipeline.cases import cases
from pipeline.cases.duties import notices
from pipeline.console import pages
from pipeline.console.context import actor, settings, writing
from pipeline.console.routes.work import FormText
from pipeline.errors import UsageError
from pipeline.export.exchange import childrens
from pipeline.lake import Lake
from pipeline.store.tables import Notification

router = APIRouter()
NoticeNumber = Annotated[int, Path(ge=0, le=2**31)]
"""A number that the store can hold."""

KIND = "childrens_services"
"""The notifications whose authorities the form offers."""
THRESHOLDS = (("s17", "Section 17: a child in need"), ("s47", "Section 47: significant harm"))


@router.get("/cases/{number}/childrens-services", name="childrens_form")
def form(request: Request, number: str) -> Response:
    """The empty form of the referral to children's services."""
    return _form(request, number)


@router.post("/cases/{number}/childrens-services", name="refer_childrens")
def refer(
    request: Request,
    number: str,
    *,
    authority: FormText = "",
    threshold: FormText = "",
    concern: FormText = "",
    strategy_asked: FormText = "",
    strategy_held: FormText = "",
) -> Response:
    """The filled form, ready to be printed or saved as PDF. Logged as a disclosure to the authority."""
    if not threshold:
        raise UsageError("Choose the threshold.")
    asked, held = _day(strategy_asked), _day(strategy_held)
    stated = childrens.Referral(authority, threshold, concern, asked, held)
    lake = Lake.of(settings(request))
    with writing(request) as session:
        text = childrens.fill(session, actor(request), lake, number, stated)
    return pages.answer(
        request, "childrens.html", {"number": number, "authority": authority, "text": text}, filled=True
    )


@router.post("/notices/{notice_id}/read", name="read_notice")
def read(request: Request, notice_id: NoticeNumber) -> Response:
    """Mark something that one was told as read."""
    with writing(request) as session:
        notices.read(session, actor(request), notice_id)
    return RedirectResponse("/queue?done=read", 303)


def refused(request: Request, number: str, form: pages.RefusedForm) -> Response:
    """The form again, with what is wrong on top and everything typed still in its place."""
    return _form(request, number, form)


def _day(text: str) -> date | None:
    """Raises UsageError for what is no day."""
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError("The day of the strategy meeting is not a date.", "Write it as 2026-11-21.") from None


def _form(request: Request, number: str, refused: pages.RefusedForm | None = None) -> Response:
    with writing(request) as session:
        case = cases.find(session, actor(request), number, "case.notify")
        due = select(Notification.authority).where(Notification.case_id == case.case_id, Notification.kind == KIND)
        authorities = sorted({name for name in session.scalars(due) if name})
    data = {"number": number, "authorities": authorities}
    words: dict[str, Any] = {
        "thresholds": THRESHOLDS,
        "filled": False,
    }
    return pages.with_form(request, "childrens.html", data, words, refused=refused, at="childrens-form")
