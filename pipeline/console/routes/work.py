"""What an analyst does with a case: each a form post with the version that was seen, answered by going back to the case."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from pipeline import britishtime
from pipeline.cases import cases
from pipeline.cases.duties import escalations, leaving
from pipeline.cases.work import (
    answers,
    bands,
    claims,
    decisions,
    kirat,
    notifications,
    requests,
    safeguarding,
    transfers,
)
from pipeline.cases.work.answers import Given
from pipeline.console import pages
from pipeline.console.context import actor, settings, store, writing
from pipeline.errors import UsageError
from pipeline.ingest.geography import forces

router = APIRouter()

FormText = Annotated[str, Form()]
Number = Annotated[int, Form(ge=0, le=2**31)]


def back(number: str, done: str, place: str = "", *, then: str = "", list_: str = "") -> Response:
    """To the case's page, or to the supervisor's list that the form stood in (`then`), with a word on what was done. The
    number is only used once the case was found."""
    if then == "supervision":
        return RedirectResponse(f"/supervision?done={done}#{list_}", 303)
    return RedirectResponse(f"/cases/{number}?done={done}{place}", 303)


@router.post("/cases/{number}/claim", name="claim")
def claim(request: Request, number: str) -> Response:
    """Take this case."""
    with writing(request) as session:
        number = claims.claim(session, actor(request), number).case_id
    return back(number, "claimed")


@router.post("/cases/{number}/release", name="release")
def release(request: Request, number: str, version: Number) -> Response:
    """Give the case back."""
    with writing(request) as session:
        claims.release(session, actor(request), number, version=version)
    return RedirectResponse("/queue?done=released", 303)


@router.post("/cases/{number}/note", name="note")
def note(request: Request, *, number: str, version: Number, note: FormText = "") -> Response:
    """Add a note."""
    with writing(request) as session:
        cases.add_note(session, actor(request), number, note, version=version)
    return back(number, "noted")


@router.post("/cases/{number}/decide", name="decide")
def decide(
    request: Request,
    number: str,
    *,
    version: Number,
    decision: FormText = "",
    reason: FormText = "",
    outcome: FormText = "",
    band: FormText = "",
    note: FormText = "",
) -> Response:
    """Start an enquiry, close with an outcome, reopen, raise the band, or propose to lower it."""
    with writing(request) as session:
        who = actor(request)
        if decision == "raise_band":
            bands.raise_band(session, who, number, band, reason_code=reason, note=note, version=version)
        elif decision == "lower_band":
            bands.propose_lowering(session, who, number, band, reason_code=reason, note=note, version=version)
        elif decision in decisions.KINDS:
            decisions.decide(
                session, who, number, decision, reason_code=reason, version=version, outcome=outcome or None, note=note
            )
        else:
            raise UsageError("Choose what you decide.")
    return back(number, "decided")


@router.post("/cases/{number}/request", name="request")
def request_information(
    request: Request,
    number: str,
    *,
    version: Number,
    asked_of: FormText = "",
    reason: FormText = "",
    text: FormText = "",
) -> Response:
    """Ask the sender or a partner for information; the clock runs on."""
    with writing(request) as session:
        requests.ask(session, actor(request), number, asked_of=asked_of, text=text, reason_code=reason, version=version)
    return back(number, "requested", "#requests")


@router.post("/cases/{number}/answer", name="answer")
def answer(request: Request, number: str, *, version: Number, request_id: Number, answer: FormText = "") -> Response:
    """Record what was answered."""
    with writing(request) as session:
        requests.answer(session, actor(request), number, request_id, answer=answer, version=version)
    return back(number, "answered", "#requests")


@router.post("/cases/{number}/answers", name="answers")
def record_answer(
    request: Request,
    number: str,
    *,
    version: Number,
    fact: FormText = "",
    value: FormText = "",
    source: FormText = "",
    found_on: FormText = "",
    note: FormText = "",
) -> Response:
    """Answer an open question; the case is assessed anew at once."""
    if not source:
        raise UsageError("Choose where you found it out.")
    if not found_on:
        raise UsageError("Enter the day on which you found it out.")
    try:
        day = date.fromisoformat(found_on)
    except ValueError:
        raise UsageError("The day on which it was found out is not a date.", "Write it as 2026-11-21.") from None
    with writing(request) as session:
        answers.record(session, actor(request), number, Given(fact, value, source, day, note), version=version)
    return back(number, "answered", "#unknown")


@router.post("/cases/{number}/transfer", name="transfer")
def transfer(
    request: Request,
    number: str,
    *,
    version: Number,
    force: FormText = "",
    recipient: FormText = "",
    reason: FormText = "",
    note: FormText = "",
    checked: FormText = "",
) -> Response:
    """Offer the case to another force: what is asked is shown once more, then recorded."""
    with writing(request) as session:
        if not checked and pages.chosen_format(request) == "html":
            case = cases.for_change(session, actor(request), number, "case.transfer", version)
            transfers.checked(session, force, recipient)
            words = store(request).rules.reasons("transfer")
            store(request).rules.reason("transfer", reason)
            shown: dict[str, Any] = {
                "number": case.case_id,
                "duties": leaving.open_duties(session, actor(request), case),
            }
            shown |= {"to": forces.load(settings(request)).names[force], "reason_words": words[reason]}
            shown["fields"] = {
                "version": version,
                "force": force,
                "recipient": recipient,
                "reason": reason,
                "note": note,
            }
            return pages.answer(request, "transfer.html", {**shown, "band": case.band})
        transfers.transfer(
            session, actor(request), number, force, recipient=recipient, reason_code=reason, version=version, note=note
        )
    return back(number, "offered")


@router.post("/cases/{number}/transfer/settle", name="settle_transfer")
def settle_transfer(
    request: Request,
    number: str,
    *,
    version: Number,
    taken: FormText = "",
    accepted_by: FormText = "",
    note: FormText = "",
) -> Response:
    """Record that the other force took the case, or that it stays here."""
    with writing(request) as session:
        if taken == "yes":
            transfers.accept(session, actor(request), number, accepted_by=accepted_by, version=version)
        else:
            transfers.take_back(session, actor(request), number, version=version, note=note)
    return back(number, "transferred" if taken == "yes" else "taken-back")


@router.post("/cases/{number}/kirat", name="kirat")
def enter_kirat(
    request: Request,
    number: str,
    *,
    version: Number,
    level: FormText = "",
    tool_version: FormText = "",
    assessor: FormText = "",
    assessed_on: FormText = "",
) -> Response:
    """Enter a KIRAT level that a person assessed with the licensed tool."""
    if not assessed_on:
        raise UsageError("Enter the day of the assessment.")
    try:
        day = date.fromisoformat(assessed_on)
    except ValueError:
        raise UsageError("The day of the assessment is not a date.", "Write it as 2026-11-21.") from None
    with writing(request) as session:
        kirat.enter(
            session, actor(request), number, level=level, tool_version=tool_version, assessor=assessor,
            assessed_on=day, version=version,
        )  # fmt: skip
    return back(number, "entered")


@router.post("/cases/{number}/notify", name="notify")
def notify(
    request: Request,
    number: str,
    *,
    version: Number,
    notification_id: Number,
    reason: FormText = "",
    recipient: FormText = "",
    post: FormText = "",
    told_by: FormText = "",
    told_at: FormText = "",
    note: FormText = "",
    then: FormText = "",
) -> Response:
    """Record that a notification (LADO, children's services) was made (who was told, in which post, by whom, when) or is
    not needed."""
    moment = _local(told_at)
    with writing(request) as session:
        notifications.settle(
            session, actor(request), number, notification_id, reason_code=reason, version=version,
            recipient=recipient, post=post or None, told_by=told_by or None, told_at=moment, note=note,
        )  # fmt: skip
    return back(number, "entered", then=then, list_="notifications")


@router.post("/cases/{number}/safeguarded", name="safeguarded")
def safeguarded(
    request: Request, number: str, *, version: Number, children: FormText = "", note: FormText = ""
) -> Response:
    """Enter how many children were safeguarded in the case."""
    if not children.strip().isdecimal() or len(children.strip()) > 6:
        raise UsageError("The number of children is a number: 0, 1, 2 and so on.")
    with writing(request) as session:
        safeguarding.enter(session, actor(request), number, int(children), version=version, note=note)
    return back(number, "entered")


@router.post("/cases/{number}/told", name="told")
def told(
    request: Request,
    number: str,
    *,
    flag_id: Number,
    told_to: FormText = "",
    told_by: FormText = "",
    told_at: FormText = "",
    note: FormText = "",
    then: FormText = "",
) -> Response:
    """Acknowledge an escalation flag: who was told, by whom (the one who writes unless named), when (now unless given)."""
    moment = _local(told_at)
    with writing(request) as session:
        escalations.acknowledge(
            session,
            actor(request),
            number,
            flag_id,
            told_to=told_to,
            told_by=told_by or None,
            told_at=moment,
            note=note,
        )
    return back(number, "entered", then=then, list_="flags")


def _local(told_at: str) -> datetime | None:
    """The time of telling as a form has it: local unless it says its zone."""
    try:
        moment = datetime.fromisoformat(told_at) if told_at else None
    except ValueError:
        raise UsageError("The time of telling is no time.", "Write it as 2026-11-21T09:30.") from None
    if moment is not None and moment.tzinfo is None:
        moment = moment.replace(tzinfo=britishtime.LONDON).astimezone(UTC)
    return moment
