"""Work on a group: one decision for all of its cases, and taking it apart again."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.orm import Session

from pipeline.cases import cases, groups, words
from pipeline.cases.work import decisions
from pipeline.errors import ConflictError, UsageError
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.context import now, rules
from pipeline.store.group_tables import Apart
from pipeline.store.tables import Case, Decision


def decide(
    session: Session,
    actor: Actor,
    case_id: str,
    kind: str,
    *,
    reason_code: str,
    versions: Mapping[str, int],
    outcome: str | None = None,
    note: str | None = None,
) -> list[Decision]:
    """Record one decision (`decisions.KINDS` but reopen) for every case of the group that the actor sees, or for none.

    `versions` has the version of each of these cases as the actor saw it. Raises UsageError for a case without a group,
    ConflictError as a decision on one case does, and where the group is not the one that `versions` names.
    """
    group = _group(session, actor, case_id)
    if kind == "reopen":
        raise UsageError("A group is not reopened: it has open cases only.")
    there = {case.case_id for case in group.cases}
    if there != set(versions):
        raise ConflictError(
            f"Group {group.group_id} has other cases than those that you saw.",
            f"Look at it again: {', '.join(sorted(there))}.",
        )
    made = []
    for member in sorted(there):
        decision = decisions.decide(
            session, actor, member, kind, reason_code=reason_code, version=versions[member], outcome=outcome, note=note
        )
        detail = {"group": group.group_id, "kind": kind}
        audit.record(session, actor, "alteration", "group.decided", case_id=member, reason=reason_code, detail=detail)
        made.append(decision)
    return made


def take_out(
    session: Session, actor: Actor, case_id: str, *, reason_code: str, version: int, note: str | None = None
) -> Case:
    """Take a case out of its group: it has its own band and target again, and links put it into no group any more."""
    case = cases.for_change(session, actor, case_id, "case.group", version)
    code = rules(session).reason("take_apart", reason_code)
    group = _group(session, actor, case_id)
    _apart(session, actor, case, code, note)
    groups.regroup(session, [case_id, *(c.case_id for c in group.cases)])
    return case


def dissolve(session: Session, actor: Actor, case_id: str, *, reason_code: str, version: int) -> list[Case]:
    """Take the whole group of a case apart; `version` is that of the case. Returns its cases."""
    cases.for_change(session, actor, case_id, "case.group", version)
    code = rules(session).reason("take_apart", reason_code)
    group = _group(session, actor, case_id)
    for case in group.cases:
        _apart(session, actor, case, code, None)
    groups.regroup(session, [case.case_id for case in group.cases])
    return list(group.cases)


def put_back(session: Session, actor: Actor, case_id: str, *, version: int) -> Case:
    """Let links join a case to others again. Raises ConflictError for a case that was not taken out."""
    case = cases.for_change(session, actor, case_id, "case.group", version)
    row = session.get(Apart, case_id)
    if row is None:
        raise ConflictError(f"Case {case_id} was not taken out of a group.")
    session.delete(row)
    groups.regroup(session, [case_id])
    cases.changed(session, actor, case, "group", "Put back: strong links join it to other cases again")
    audit.record(session, actor, "combination", "group.put_back", case_id=case_id)
    return case


def _group(session: Session, actor: Actor, case_id: str) -> groups.Group:
    cases.find(session, actor, case_id, "case.read")
    group = groups.of_case(session, actor, case_id)
    if group is None:
        raise UsageError(f"Case {case_id} is in no group.")
    return group


def _apart(session: Session, actor: Actor, case: Case, code: str, note: str | None) -> None:
    if session.get(Apart, case.case_id) is None:
        text = cases.note_text(note)
        session.add(Apart(case_id=case.case_id, at=now(session), by=actor.user_id, reason_code=code, note=text))
    cases.changed(
        session, actor, case, "group", f"Taken out of its group: {words.reason(rules(session), 'take_apart', code)}"
    )
    audit.record(session, actor, "alteration", "group.taken_apart", case_id=case.case_id, reason=code)
