"""The supervisor's page and decisions; an analyst's own outcomes; breaks."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from pipeline.audit import exposure
from pipeline.cases import words as spoken
from pipeline.cases.duties import escalations
from pipeline.cases.views import queue as queues
from pipeline.cases.views import supervision
from pipeline.cases.work import bands, claims, decisions, retention, second_looks
from pipeline.console import pages, wording
from pipeline.console.context import actor, store, visitor, writing
from pipeline.console.routes.work import FormText, Number, back
from pipeline.errors import ConflictError, UsageError
from pipeline.people import permissions, sessions
from pipeline.store.actors import Actor
from pipeline.store.tables import Case
from pipeline.store.types import BANDS

router = APIRouter()

SHOWN = 50
"""Rows of each list on the page; JSON has them all."""
FREE = 25
"""Free cases offered for allocation at once."""


@router.get("/supervision", name="supervision")
def show(request: Request, tick: int = 0) -> Response:
    """The work lists of a supervisor, each by risk, and the next free cases to allocate. `tick`: so many are chosen."""
    data = _lists(request)
    open_to_all = [row["case_id"] for row in data["free"] if row["compartment"] is None]
    ticked = set(open_to_all[: max(0, tick)])
    words = _words(request, data, ticked=ticked, errors=[])
    return pages.answer(request, "supervision.html", data, **words)


@router.post("/supervision/allocate", name="allocate_many")
def allocate_many(
    request: Request, *, case: Annotated[list[str] | None, Form()] = None, person: FormText = "", reason: FormText = ""
) -> Response:
    """Put the chosen cases (number:version) into one person's hands, each by itself: one that somebody took meanwhile
    stops none of the others, and the page names it."""
    chosen = [tuple(entry.rpartition(":")[::2]) for entry in case or []]
    errors: list[dict[str, Any]] = []
    if not chosen:
        errors.append({"href": "#allocation", "text": "Choose at least one case."})
    if not person:
        errors.append({"href": "#bulk-person", "text": "Choose the person."})
    for number, version in chosen if not errors else []:
        try:
            with writing(request) as session:
                claims.allocate(
                    session, actor(request), number, reason_code=reason, version=_version(version), user_id=person
                )
        except (UsageError, ConflictError) as error:
            errors.append({"href": None, "text": f"{number}: {error.message}"})
    if not errors:
        return RedirectResponse("/supervision?done=allocated-all#allocation", 303)
    data = {**_lists(request), "errors": errors}
    if pages.chosen_format(request) != "html":
        return pages.answer(request, "supervision.html", data, status=409)
    sent = {"form": "bulk", "person": person, "reason": reason}
    words = _words(request, data, ticked={number for number, _ in chosen}, errors=errors)
    return pages.answer(request, "supervision.html", data, status=409, **{**words, "sent": sent})


def refused(request: Request, form: pages.RefusedForm) -> Response:
    """The supervisor's page with a form that was refused: what is wrong on top, everything typed still in its place."""
    data = _lists(request)
    words = _words(request, data, ticked=set(), errors=[])
    return pages.with_form(request, "supervision.html", data, words, refused=form, at=form.place)


def _lists(request: Request) -> dict[str, Any]:
    """Every list of the page, by risk, with its length as the dashboard has it. A page has of each what it
    shows, since some may be very long."""
    first = SHOWN if pages.chosen_format(request) == "html" else None
    with writing(request) as session:
        who = actor(request)
        return {
            "as_of": store(request).clock(),
            "counts": supervision.counts(session, who),
            "lowerings": [
                {**_case(c), "lowering_id": row.lowering_id, "to_band": row.to_band, "proposed_at": row.proposed_at,
                 "proposed_by": row.proposed_by, "reason": row.reason_code, "note": row.note}
                for row, c in supervision.lowerings(session, who, limit=first)
            ],
            "second_looks": [
                {**_case(c), "second_look_id": row.second_look_id, "why": row.text, "since": row.opened_at,
                 "opened_by": row.opened_by}
                for row, c in supervision.second_looks(session, who, limit=first)
            ],
            "reviews": [
                {**_case(c), "review_id": row.review_id, "rank": row.rank, "due": row.due_at}
                for row, c in supervision.reviews_due(session, who, limit=first)
            ],
            "flags": [flag.as_dict() for flag in escalations.open_flags(session, who, limit=first)],
            "notifications": [
                {**_case(c), "notification_id": row.notification_id, "notification": row.label, "authority": row.authority,
                 "why": row.reason, "since": row.listed_at}
                for row, c in supervision.notifications(session, who, limit=first)
            ],
            "past_target": supervision.past_target(session, who),
            "overdue": [{**_case(c), "due": c.due_at, "holder": c.holder} for c in supervision.overdue(session, who, limit=first)],
            "retention": [
                {**_case(c), "outcome": c.outcome, "closed_at": c.closed_at, "due": c.retention_review_at}
                for c in retention.due(session, who)
            ],
            "free": [
                {**_case(r), "due": r.due_at, "why": list(r.top_reasons[:2]), "compartment": r.compartment}
                for r in queues.page(session, who, queues.QueueFilters(holder="nobody"), size=FREE).rows
            ],
            "loads": [vars(load) for load in supervision.loads(session, who)] if _may_allocate(who) else [],
        }  # fmt: skip


def _may_allocate(who: Actor) -> bool:
    return permissions.allowed(who, "case.allocate")


def _words(request: Request, data: dict[str, Any], *, ticked: set[str], errors: list[dict[str, Any]]) -> dict[str, Any]:
    """What only the page needs."""
    rules = store(request).rules
    return {
        "shown": SHOWN,
        "ticked": ticked,
        "errors": errors,
        "me": actor(request).user_id,
        "people": [(load["user_id"], supervision.Load(**load).words) for load in data["loads"]],
        "reasons": {
            k: list(rules.reasons(k).items())
            for k in ("allocate", "erase", "lower_band", "notification", "refuse_lowering", "retain", "review",
                      "second_look")
        },
        "reason": lambda kind, code: spoken.reason(rules, kind, code),
        "outcome_words": partial(spoken.outcome, rules),
        "due_words": lambda at: wording.due(at, data["as_of"]),
        "formats": pages.formats(request, csv=False),
    }  # fmt: skip


def _version(text: str) -> int:
    if not text.isdecimal() or len(text) > 10:
        raise UsageError("The version that was seen is missing.", "Reload the page.")
    return int(text)


@router.post("/cases/{number}/allocate", name="allocate")
def allocate(
    request: Request, number: str, *, version: Number, person: FormText = "", reason: FormText = ""
) -> Response:
    """Put the case into a person's hands."""
    with writing(request) as session:
        claims.allocate(session, actor(request), number, reason_code=reason, version=version, user_id=person or None)
    return back(number, "allocated")


@router.post("/cases/{number}/lowering", name="lowering")
def lowering(
    request: Request,
    number: str,
    *,
    version: Number,
    verdict: FormText = "",
    reason: FormText = "",
    note: FormText = "",
    then: FormText = "",
) -> Response:
    """Approve or refuse the lower band that waits."""
    settle = {"approve": bands.approve_lowering, "refuse": bands.refuse_lowering}.get(verdict)
    if settle is None:
        raise UsageError("Choose whether you approve or refuse.")
    with writing(request) as session:
        settle(session, actor(request), number, reason_code=reason, note=note, version=version)
    return back(number, "decided", then=then, list_="lowerings")


@router.post("/cases/{number}/review", name="review")
def review(
    request: Request,
    number: str,
    *,
    review_id: Number,
    version: Number,
    reason: FormText = "",
    note: FormText = "",
    then: FormText = "",
) -> Response:
    """Record a review."""
    with writing(request) as session:
        supervision.complete_review(
            session, actor(request), number, review_id, reason_code=reason, version=version, note=note
        )
    return back(number, "entered", then=then, list_="reviews")


@router.post("/cases/{number}/second-look", name="second_look")
def second_look(
    request: Request,
    number: str,
    *,
    second_look_id: Number,
    version: Number,
    reason: FormText = "",
    note: FormText = "",
    then: FormText = "",
) -> Response:
    """Record the result of a second look."""
    with writing(request) as session:
        second_looks.resolve(
            session, actor(request), number, second_look_id, reason_code=reason, version=version, note=note
        )
    return back(number, "entered", then=then, list_="second")


@router.post("/cases/{number}/retain", name="retain")
def retain(
    request: Request, number: str, *, version: Number, reason: FormText = "", note: FormText = "", then: FormText = ""
) -> Response:
    """Keep a closed case until its next retention review."""
    with writing(request) as session:
        retention.retain(session, actor(request), number, reason_code=reason, version=version, note=note)
    return back(number, "decided", then=then, list_="retention")


@router.post("/cases/{number}/erase", name="erase")
def erase(request: Request, number: str, *, version: Number, reason: FormText = "", sure: FormText = "") -> Response:
    """Erase a closed case from the case store; a tombstone and the audit entry stay. `sure` repeats its number."""
    if sure.strip() != number:
        raise UsageError("The case was not erased.", "Write its number again to say that you mean it.")
    with writing(request) as session:
        retention.erase(session, actor(request), number, reason_code=reason, version=version)
    return RedirectResponse("/supervision?done=erased", 303)


@router.get("/supervision/wellbeing", name="wellbeing")
def wellbeing(request: Request) -> Response:
    """Texts opened by person and day, to look after people; the look is logged."""
    with writing(request) as session:
        rows = [vars(row) for row in exposure.of_everybody(session, actor(request))]
    return pages.answer(
        request,
        "wellbeing.html",
        {"opened": rows},
        rows=rows,
        name="wellbeing",
        days=exposure.DAYS,
        formats=pages.formats(request),
    )


@router.get("/outcomes", name="outcomes")
def outcomes(request: Request) -> Response:
    """What became of the cases that this person worked on."""
    with writing(request) as session:
        found = decisions.own_outcomes(session, actor(request), limit=200)
    rules = store(request).rules
    rows: list[dict[str, Any]] = [
        {
            "case_id": d.case_id,
            "outcome": d.outcome and spoken.outcome(rules, d.outcome),
            "acted": d.acted,
            "band": d.band,
            "closed_at": d.closed_at,
        }
        for d in found
    ]
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["outcome"]] = counts.get(row["outcome"], 0) + 1
    return pages.answer(
        request,
        "outcomes.html",
        {"outcomes": rows, "counts": counts},
        rows=rows,
        name="outcomes",
        formats=pages.formats(request),
    )


@router.get("/break", name="break")
def offer_break(request: Request) -> Response:
    """Ten minutes away from the screen; nothing is blocked meanwhile."""
    data = {"critically_overdue": pages.urgent_waiting(request), "minutes": visitor(request).offer_break}
    return pages.answer(request, "break.html", data)


@router.post("/break", name="break_post")
def rested(request: Request, taken: Annotated[str, Form()] = "") -> Response:
    """Back from a break: the hour begins anew."""
    found = visitor(request)
    if found.via == "cookie":
        with writing(request) as session:
            sessions.keep(session, found.token, {**found.data, "working_since": store(request).clock().isoformat()})
    return RedirectResponse("/queue?done=rested", 303)


def _case(row: Any) -> dict[str, Any]:
    place = BANDS[row.band_order] if isinstance(row, Case) else row.place
    return {"case_id": row.case_id, "version": row.version, "band": row.band, "place": place, "state": row.state}
