"""The cases of one investigation: shown together, claimed together, decided together, taken apart again."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.orm import Session

from pipeline.cases import cases, groups, states
from pipeline.cases.work import claims, together
from pipeline.console import pages, wording
from pipeline.console.context import actor, store, writing
from pipeline.console.routes.work import FormText, Number
from pipeline.errors import UsageError
from pipeline.store.actors import Actor
from pipeline.store.group_tables import Apart

router = APIRouter()

MEMBER = ("case_id", "source", "provider", "band", "score", "state", "holder", "due_at", "version")
"""What of each case the page shows."""
KINDS = {"start_enquiry": "Start an enquiry for all", "close": "Close all"}
"""Decisions that a person records for the whole group on this page, with the words of their buttons."""


@router.get("/cases/{number}/group", name="group")
def show(request: Request, number: str) -> Response:
    """The group of a case as this person sees it: cases of a compartment that the person has not are not there."""
    return _page(request, number)


@router.post("/cases/{number}/group/claim", name="claim_group")
def claim(request: Request, number: str) -> Response:
    """Take the case and with it every other of its group that nobody holds."""
    with writing(request) as session:
        claims.claim(session, actor(request), number)
    return _back(number, "claimed-all")


@router.post("/cases/{number}/group/decide", name="decide_group")
def decide(
    request: Request,
    number: str,
    *,
    seen: Annotated[list[str] | None, Form()] = None,
    decision: FormText = "",
    reason: FormText = "",
    outcome: FormText = "",
    note: FormText = "",
) -> Response:
    """Record one decision for every case of the group, or for none. `seen`: each case with the version seen, as C-1=4."""
    if decision not in KINDS:
        raise UsageError("Choose what you decide.")
    with writing(request) as session:
        together.decide(
            session, actor(request), number, decision, reason_code=reason, versions=_versions(seen or []),
            outcome=outcome or None, note=note,
        )  # fmt: skip
    return _back(number, "decided-all")


@router.post("/cases/{number}/group/apart", name="take_apart")
def apart(request: Request, number: str, *, version: Number, reason: FormText = "", whole: FormText = "") -> Response:
    """Take the case out of its group, or with `whole=yes` the group apart."""
    with writing(request) as session:
        if whole == "yes":
            together.dissolve(session, actor(request), number, reason_code=reason, version=version)
        else:
            together.take_out(session, actor(request), number, reason_code=reason, version=version)
    return _back(number, "apart")


@router.post("/cases/{number}/group/back", name="put_back")
def put_back(request: Request, number: str, *, version: Number) -> Response:
    """Let strong links join the case to others again."""
    with writing(request) as session:
        together.put_back(session, actor(request), number, version=version)
    return _back(number, "put-back")


def refused(request: Request, number: str, form: pages.RefusedForm) -> Response:
    """The group's page with a form that was refused: what is wrong on top, everything typed still in its place."""
    return _page(request, number, form)


def _back(number: str, done: str) -> Response:
    return RedirectResponse(f"/cases/{number}/group?done={done}", 303)


def _versions(seen: list[str]) -> dict[str, int]:
    """Raises UsageError for something that is not a case with a version."""
    found = {}
    for text in seen:
        case_id, _, version = text.partition("=")
        if not version.isdecimal() or len(version) > 9:
            raise UsageError("The versions that were seen are missing.", "Open the group again.")
        found[case_id] = int(version)
    return found


def _page(request: Request, number: str, refused: pages.RefusedForm | None = None) -> Response:
    with writing(request) as session:
        data = _data(session, request, number)
    form = refused.sent.get("form") if refused else None
    rules, possible = store(request).rules, _possible(actor(request), data["cases"])
    words: dict[str, Any] = {
        "kinds": [(kind, text) for kind, text in KINDS.items() if kind in possible or kind == form],
        "reasons": {kind: list(rules.reasons(kind).items()) for kind in (*KINDS, "take_apart")},
        "outcomes": [(code, o["label"]) for code, o in rules.data["outcomes"].items()],
        "due": wording.due(data["due_at"], store(request).clock()) if data["due_at"] else "",
        "formats": pages.formats(request, csv=False),
    }
    return pages.with_form(request, "group.html", data, words, refused=refused, at=refused.place if refused else None)


def _possible(who: Actor, members: list[dict[str, Any]]) -> list[str]:
    """Decisions on all cases of the group that this person may record: who holds them all, or supervises, and none that the
    state of a case does not allow."""
    if "supervisor" not in who.roles and any(case["holder"] != who.user_id for case in members):
        return []
    return [kind for kind in KINDS if all(case["state"] in states.MOVES[kind] for case in members)]


def _data(session: Session, request: Request, number: str) -> dict[str, Any]:
    who = actor(request)
    case = cases.find(session, who, number, "case.read")
    group = groups.of_case(session, who, number)
    out = session.get(Apart, number)
    members = group.cases if group else (case,)
    return {
        "number": number,
        "version": case.version,
        "group": group.group_id if group else None,
        "band": group.band if group else None,
        "due_at": group.due_at if group else None,
        "cases": [{name: getattr(c, name) for name in MEMBER} for c in members] if group else [],
        "free": [c.case_id for c in members if c.holder is None],
        "taken_out": {"at": out.at, "by": out.by, "reason": out.reason_code} if out else None,
    }
