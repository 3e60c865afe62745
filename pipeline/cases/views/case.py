"""Everything that is known of one case, as one person may see it. Reading it is a consultation and is logged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Select,
    Table,
    and_,
    bindparam,
    exists,
    insert,
    literal,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.orm import Session

from pipeline.assess.links.strength import STRENGTHS
from pipeline.cases.cases import expired, find
from pipeline.cases.duties import escalations
from pipeline.cases.views import hiding, queue
from pipeline.people import permissions
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.context import now, rules
from pipeline.store.duty_tables import Flag
from pipeline.store.group_tables import Apart, GroupMember
from pipeline.store.tables import (
    Assessment,
    Case,
    CaseReferral,
    Change,
    Decision,
    InformationRequest,
    Kirat,
    Link,
    Lowering,
    Note,
    Notification,
    RecordedAnswer,
    Retention,
    Review,
    SecondLook,
    Seen,
    Transfer,
)
from pipeline.store.work_tables import Safeguarded

_SIDE_TABLES: tuple[tuple[Any, Any], ...] = (
    (Note, Note.note_id),
    (Decision, Decision.decision_id),
    (InformationRequest, InformationRequest.request_id),
    (Transfer, Transfer.transfer_id),
    (Kirat, Kirat.kirat_id),
    (RecordedAnswer, RecordedAnswer.answer_id),
    (Review, Review.due_at),
    (SecondLook, SecondLook.second_look_id),
    (Notification, Notification.notification_id),
    (Retention, Retention.retention_id),
)
"""Tables of what people did with a case, with their order."""
_OF_CASE: dict[Any, Select[Any]] = {
    table: select(table).where(table.case_id == bindparam("case")).order_by(order)
    for table, order in ((Assessment, Assessment.sequence), (Change, Change.change_id), *_SIDE_TABLES)
}
"""Statements built once: building one takes longer than running it, and others wait for the transaction meanwhile."""
_THERE = union_all(
    *(
        select(literal(table.__tablename__)).where(exists().where(table.case_id == bindparam("case")))
        for table in (*(table for table, _ in _SIDE_TABLES), Lowering, Flag, GroupMember, Apart, Safeguarded)
    )
)
"""Which tables beside the case's own have rows of it."""
_PENDING = select(Lowering).where(Lowering.case_id == bindparam("case"), Lowering.status == "pending")
_OWN = select(CaseReferral.referral_id).where(CaseReferral.case_id == bindparam("case"))
_LINKS = (
    select(Link)
    .where(
        or_(
            Link.left_referral.in_(bindparam("own", expanding=True)),
            Link.right_referral.in_(bindparam("own", expanding=True)),
        ),
        Link.withdrawn.is_(False),
    )
    .order_by(Link.link_id)
)
_SEEN: Table = Seen.__table__  # type: ignore[assignment]
_BY_ME = and_(_SEEN.c.user_id == bindparam("who"), _SEEN.c.case_id == bindparam("case"))
_LOOKED = select(_SEEN.c.change_id).where(_BY_ME)
_LOOKS = insert(_SEEN)
_LOOKS_AGAIN = update(_SEEN).where(_BY_ME)


@dataclass(frozen=True)
class LinkView:
    """A link as shown on a case: `other` is a referral or list:<name>:<entry>, `other_case` its case if there is one."""

    link_id: str
    kind: str
    strength: str
    other: str
    other_case: str | None
    other_band: str | None
    other_state: str | None
    evidence: Any
    explanation: str


@dataclass(frozen=True)
class CaseView:
    """One case. Rows are the store's own (`pipeline/store/tables.py`), to be read only.

    `reasons`, `flags` and `summary` are those of the newest assessment, without what rests on cases that the reader
    may not know of. `changes` is what others changed since the reader last looked (all of it at the
    first look).
    """

    case: Case
    urgency: str
    claim_lapsed: bool
    assessment: Assessment
    reasons: list[dict[str, Any]]
    unknowns: list[dict[str, Any]]
    flags: list[dict[str, Any]]
    summary: dict[str, Any]
    versions: Sequence[Assessment]
    changes: Sequence[Change]
    first_look: bool
    history: Sequence[Change]
    links: list[LinkView]
    notes: Sequence[Note]
    decisions: Sequence[Decision]
    lowering: Lowering | None
    requests: Sequence[InformationRequest]
    transfers: Sequence[Transfer]
    kirat: Sequence[Kirat]
    answers: Sequence[RecordedAnswer]
    reviews: Sequence[Review]
    second_looks: Sequence[SecondLook]
    notifications: Sequence[Notification]
    escalations: Sequence[Flag]
    """Every flag that the case has ever had, with its clock and who was told."""
    retention: Sequence[Retention]
    beside: frozenset[str]
    """Names of the tables beside the case's own that have rows of it, some of which the reader may not know of."""


def read(session: Session, actor: Actor, case_id: str, reason: str | None = None) -> CaseView:
    """The whole case; logs the consultation with its reason and marks the case as seen, in the same transaction.

    Raises UsageError where the case does not exist (for this person) or a reason is demanded and missing.
    """
    case = find(session, actor, case_id, "case.read")
    why = rules(session).consultation_reason("case", reason)
    versions = session.scalars(_OF_CASE[Assessment], {"case": case_id}).all()
    there = set(session.scalars(_THERE, {"case": case_id}))
    side = _side_rows(session, case_id, there)
    newest = versions[-1]
    own, linked = _linked(session, case)
    anything, hidden = _hidden_of(session, actor, newest, linked)
    links = _links(session, actor, own, linked, hidden)
    history = _visible_changes(session, actor, case)
    last_seen = _mark_seen(session, actor, case)
    audit.record(session, actor, "consultation", "case.read", case_id=case_id, reason=why)
    moment = now(session)
    return CaseView(
        case=case,
        urgency=queue.urgency(session, case.due_at),
        claim_lapsed=expired(case, moment),
        assessment=newest,
        reasons=shown(newest.reasons, hidden),
        unknowns=newest.unknowns,
        flags=shown(newest.flags, hidden),
        summary=_summary(newest.summary, links, shown(newest.reasons, hidden), anything),
        versions=versions,
        changes=[change for change in history if change.change_id > last_seen and change.by != actor.user_id],
        first_look=last_seen == 0,
        history=history,
        links=links,
        notes=side[Note.__tablename__],
        decisions=side[Decision.__tablename__],
        lowering=session.scalar(_PENDING, {"case": case_id}) if Lowering.__tablename__ in there else None,
        requests=side[InformationRequest.__tablename__],
        transfers=side[Transfer.__tablename__],
        kirat=side[Kirat.__tablename__],
        answers=side[RecordedAnswer.__tablename__],
        reviews=side[Review.__tablename__],
        second_looks=side[SecondLook.__tablename__],
        notifications=side[Notification.__tablename__],
        escalations=escalations.history(session, actor, case_id) if Flag.__tablename__ in there else (),
        retention=side[Retention.__tablename__],
        beside=frozenset(there),
    )


def open_text(session: Session, actor: Actor, case_id: str, text_id: str, reason: str | None = None) -> Case:
    """Log that a chat or narrative of the case is opened, before it is shown.

    Raises UsageError when a reason is demanded and missing.
    """
    case = find(session, actor, case_id, "case.read_text")
    why = rules(session).consultation_reason("text", reason)
    audit.record(session, actor, "consultation", "text.opened", case_id=case_id, object_=text_id, reason=why)
    return case


def _hidden_of(session: Session, actor: Actor, newest: Assessment, linked: Sequence[Link]) -> tuple[bool, set[str]]:
    """Whether anything at all is hidden from the actor, and what is of all that the assessment and the links name."""
    if not hiding.anything(session, actor):
        return False, set()
    evidence = [row for item in (*newest.reasons, *newest.flags) for row in item.get("evidence") or ()]
    named = {value for row in evidence for value in row.values() if isinstance(value, str)}
    named.update(side for link in linked for side in (link.left_referral, link.right_referral))
    return True, hiding.among(session, actor, named)


def _side_rows(session: Session, case_id: str, there: set[str]) -> dict[str, Sequence[Any]]:
    """Rows of the tables of which most cases have none, by table name: asked for only where there are any (`_THERE`)."""
    return {
        table.__tablename__: session.scalars(_OF_CASE[table], {"case": case_id}).all()
        if table.__tablename__ in there
        else ()
        for table, _ in _SIDE_TABLES
    }


def _linked(session: Session, case: Case) -> tuple[set[str], Sequence[Link]]:
    """The case's own referrals, and the links of them."""
    own = {case.referral_id, *session.scalars(_OWN, {"case": case.case_id})}
    return own, session.scalars(_LINKS, {"own": sorted(own)}).all()


def _links(session: Session, actor: Actor, own: set[str], found: Sequence[Link], hidden: set[str]) -> list[LinkView]:
    """Links of the case's referrals to others that the actor may know of; one inside the case is none."""
    if not found:
        return []
    others = {
        link.link_id: (link, link.right_referral if link.left_referral in own else link.left_referral)
        for link in found
        if permissions.visible(actor, link.compartment)
    }
    wanted = {other for _, other in others.values()}
    rows = session.execute(
        select(CaseReferral.referral_id, Case)
        .join(Case, Case.case_id == CaseReferral.case_id)
        .where(CaseReferral.referral_id.in_(wanted), queue.visible(actor))
    )
    there: dict[str, Case] = {row.referral_id: row.Case for row in rows}
    return [
        _link_view(link, other, there.get(other))
        for link, other in others.values()
        if other not in hidden and other not in own
    ]


def _link_view(link: Link, other: str, there: Case | None) -> LinkView:
    return LinkView(
        link_id=link.link_id,
        kind=link.kind,
        strength=link.strength,
        other=other,
        other_case=there.case_id if there else None,
        other_band=there.band if there else None,
        other_state=there.state if there else None,
        evidence=link.evidence,
        explanation=link.explanation,
    )


def _visible_changes(session: Session, actor: Actor, case: Case) -> list[Change]:
    found = session.scalars(_OF_CASE[Change], {"case": case.case_id})
    return [change for change in found if permissions.visible(actor, change.compartment)]


def _mark_seen(session: Session, actor: Actor, case: Case) -> int:
    """Mark the case as seen up to its newest change; returns up to which it had been seen before (0: never)."""
    connection, row = session.connection(), {"change_id": case.change_id, "at": now(session)}
    before: int | None = connection.scalar(_LOOKED, {"who": actor.user_id, "case": case.case_id})
    if before is None:
        connection.execute(_LOOKS, {"user_id": actor.user_id, "case_id": case.case_id, **row})
    else:
        connection.execute(_LOOKS_AGAIN, {"who": actor.user_id, "case": case.case_id, **row})
    return before or 0


def shown(reasons: Iterable[dict[str, Any]], hidden: set[str]) -> list[dict[str, Any]]:
    """Reasons as a reader may see them: what rests on hidden evidence alone is not there, not even as a gap with a name,
    since that something is held about a person is what the compartment hides."""
    found = (_redacted(reason, hidden) for reason in reasons)
    return [reason for reason in found if reason is not None]


def _redacted(reason: dict[str, Any], hidden: set[str]) -> dict[str, Any] | None:
    """A reason without evidence that the reader may not know of, nor how much of it there is; None without any left."""
    evidence = reason.get("evidence") or []
    kept = [row for row in evidence if not _names(row, hidden)]
    if len(kept) == len(evidence):
        return reason
    if not kept:
        return None
    left = {**reason, "evidence": kept}
    if "evidence_total" in left:
        left["evidence_total"] = len(kept)
    return left


def _names(row: dict[str, Any], hidden: set[str]) -> bool:
    values: Iterable[Any] = row.values()
    return any(isinstance(value, str) and value in hidden for value in values)


def _summary(
    summary: dict[str, Any], links: list[LinkView], reasons: list[dict[str, Any]], anything_hidden: bool
) -> dict[str, Any]:
    """What the night counted, with the links to other cases counted anew: each case once, by its strongest link."""
    if not anything_hidden:
        return summary
    best: dict[str, str] = {}
    for link in links:
        if not link.other.startswith("list:"):
            other = link.other_case or link.other
            best[other] = max(best.get(other, link.strength), link.strength, key=STRENGTHS.index)
    by_strength = dict(Counter(best.values()))
    return {
        **summary,
        "links": len(best),
        "links_strong": by_strength.get("strong", 0),
        "links_by_strength": by_strength,
        "top_reasons": [r["label"] for r in reasons][:3],
    }
