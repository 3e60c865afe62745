"""The referral to children's services as a filled form, in plain text that a browser or an editor prints.

It says what is known, by which threshold of the Children Act 1989 it is made, and whether a strategy meeting was asked for
and held. Writing it is a disclosure: audit log and history of the case have authority, threshold, dates and the digest of
the text, so that the very form can be recognised later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy.orm import Session

from pipeline import britishtime
from pipeline.cases import cases
from pipeline.cases.views import case as views
from pipeline.errors import UsageError
from pipeline.export.exchange import persons
from pipeline.lake import Lake
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.context import now

THRESHOLDS = {
    "s17": "Section 17, Children Act 1989: the child is unlikely to reach or keep a reasonable standard of health or development "
    "without services (a child in need).",
    "s47": "Section 47, Children Act 1989: there is reasonable cause to suspect that the child is suffering, or is likely to "
    "suffer, significant harm.",
}
"""Thresholds with the words of the form."""
_ROLES = {"suspect": "Suspect", "victim": "Child", "recipient": "Recipient", "other": "Other person"}


@dataclass(frozen=True)
class Referral:
    """What the person who refers states: the authority, the threshold, why, and the days on which a strategy meeting was
    asked for and held (None: not yet)."""

    authority: str
    threshold: str
    concern: str
    strategy_asked: date | None = None
    strategy_held: date | None = None


def fill(
    session: Session, actor: Actor, lake: Lake, case_id: str, referral: Referral, *, reason: str | None = None
) -> str:
    """The filled form; logged as a disclosure to the authority and told in the case's history.

    Raises UsageError for an unknown threshold, without authority or concern, or for a meeting held before it was asked for.
    """
    case = cases.find(session, actor, case_id, "case.notify", lock=True)
    if referral.threshold not in THRESHOLDS:
        raise UsageError(f"{referral.threshold!r} is no threshold.", f"Known: {', '.join(THRESHOLDS)}.")
    if not referral.authority.strip() or not referral.concern.strip():
        raise UsageError("The form needs the authority that it goes to and the concern in words.")
    asked, held = referral.strategy_asked, referral.strategy_held
    if held is not None and (asked is None or held < asked):
        raise UsageError("A strategy meeting is held on or after the day on which it was asked for.", "Give both days.")
    seen = views.read(session, actor, case_id, reason or "Referral to children's services")
    people = persons.of_cases(session, lake, [case_id])
    text = "\n".join(_lines(actor, referral, seen, people, britishtime.moment(now(session)))) + "\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    meeting = f"strategy meeting asked for {asked or 'not yet'}, held {held or 'not yet'}"
    told = f"Referral to children's services of {referral.authority} ({referral.threshold}); {meeting}"
    cases.changed(session, actor, case, "notification", told)
    audit.record(
        session,
        actor,
        "disclosure",
        "childrens.referred",
        case_id=case_id,
        recipient=f"Children's services: {referral.authority}",
        detail={
            "threshold": referral.threshold,
            "strategy_asked": asked and asked.isoformat(),
            "strategy_held": held and held.isoformat(),
            "sha256": digest,
        },
    )
    return text


def _lines(
    actor: Actor, referral: Referral, seen: views.CaseView, people: list[dict[str, Any]], written: str
) -> Iterator[str]:
    yield "REFERRAL TO CHILDREN'S SERVICES"
    yield f"To: Children's services, {referral.authority}"
    yield f"From: {actor.name}, case {seen.case.case_id}"
    yield f"Written: {written}"
    yield ""
    yield "THRESHOLD"
    yield THRESHOLDS[referral.threshold]
    yield ""
    yield "CONCERN"
    yield referral.concern.strip()
    yield ""
    yield "STRATEGY MEETING"
    yield f"Asked for: {referral.strategy_asked or 'not yet'}"
    yield f"Held: {referral.strategy_held or 'not yet'}"
    yield ""
    yield "PEOPLE"
    for person in people:
        if person["role"] in _ROLES:
            yield from _person(person)
    yield ""
    yield "WHAT IS KNOWN"
    for reason in seen.reasons:
        if reason.get("value") == "yes":
            yield f"- {reason['label']}: {reason.get('explanation', '')}"
    yield ""
    yield "WHAT IS NOT KNOWN"
    for item in seen.unknowns[:10]:
        yield f"- {item.get('question', '')}"


def _person(person: Mapping[str, Any]) -> Iterator[str]:
    born = person.get("date_of_birth") or (
        f"aged about {age}" if (age := person.get("approximate_age")) else "not known"
    )
    yield f"- {_ROLES[person['role']]}: {person.get('name') or 'name not known'}, born {born}"
    for word, column in (("home", "addresses"), ("work", "workplaces")):
        for address in person[column]:
            yield f"  {word}: {_address(address)}"


def _address(address: Mapping[str, Any]) -> str:
    """Name and text, and the postcode where the text does not have it already."""
    text, postcode = str(address.get("text") or ""), str(address.get("postcode") or "")
    return ", ".join(filter(None, [address.get("name"), text, "" if postcode in text else postcode]))
