"""Who may do what: one table, action by role. Tested exhaustively, every role by every action.

Beyond the table, a case in a compartment does not exist for people without that compartment: not in lists, counts
or links, and reading it answers exactly as for a number that was never given out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.store.actors import Actor
from pipeline.store.refusals import HiddenCaseError, RefusalError

if TYPE_CHECKING:
    from pipeline.store.tables import Case  # a question about no case is judged without the tables of cases

ROLES = ("analyst", "supervisor", "dmi", "auditor", "administrator")

_WORKERS = frozenset({"analyst", "supervisor"})
_READERS = frozenset({"analyst", "supervisor", "dmi", "auditor"})
_SUPERVISORS = frozenset({"supervisor"})
_EVERYONE = frozenset(ROLES)

TABLE: dict[str, frozenset[str]] = {
    # reading
    "queue.list": _READERS,
    "case.read": _READERS,
    "case.read_text": _WORKERS,
    "case.timeline": frozenset({"analyst", "supervisor", "auditor"}),
    # work on a case
    "case.claim": _WORKERS,
    "case.release": _WORKERS,
    "case.note": frozenset({"analyst", "supervisor", "dmi"}),
    "case.decide": _WORKERS,
    "case.raise": _WORKERS,
    "case.propose_lowering": _WORKERS,
    "case.request_information": _WORKERS,
    "case.transfer": _WORKERS,
    "case.kirat": _WORKERS,
    "case.answer": _WORKERS,
    "case.notify": _WORKERS,
    "case.acknowledge": _WORKERS,
    "case.group": _WORKERS,
    "case.grade": frozenset({"analyst", "supervisor", "dmi"}),
    "case.safeguarded": _WORKERS,
    # supervision
    "case.allocate": _SUPERVISORS,
    "case.approve_lowering": _SUPERVISORS,
    "case.reopen": _SUPERVISORS,
    "case.review": _SUPERVISORS,
    "case.second_look": _SUPERVISORS,
    "case.retain": _SUPERVISORS,
    "case.erase": _SUPERVISORS,
    "supervision.list": frozenset({"supervisor", "auditor"}),
    "wellbeing.read": _SUPERVISORS,
    "outcomes.own": _WORKERS,
    "mine.list": _WORKERS,
    "filters.own": _READERS,
    # matching evidence and data
    "lookup.hash": frozenset({"analyst", "supervisor", "dmi"}),
    "matches.list": frozenset({"analyst", "supervisor", "dmi"}),
    "query.sql": frozenset({"dmi"}),
    "export.data": frozenset({"supervisor", "dmi"}),
    "model.report": frozenset({"supervisor", "dmi"}),
    "release.approve": frozenset({"supervisor", "dmi"}),
    "reports.read": _EVERYONE,
    "quarantine.read": frozenset({"supervisor", "administrator"}),
    # people
    "users.read": frozenset({"supervisor", "auditor", "administrator"}),
    "users.manage": frozenset({"administrator"}),
    "password.own": _EVERYONE,
    "tokens.own": frozenset({"analyst", "supervisor", "dmi", "auditor"}),
    # audit
    "audit.read": frozenset({"auditor"}),
    "audit.export": frozenset({"auditor"}),
    "audit.verify": frozenset({"auditor", "administrator", "system"}),
    "audit.anchor": frozenset({"auditor", "administrator", "system"}),
    # the nightly run
    "night.publish": frozenset({"system"}),
    "night.expire_claims": frozenset({"system", "supervisor"}),
}
"""Action to the roles that may do it. An action that is not here is a fault of the program, not a refusal."""


def allowed(actor: Actor, action: str) -> bool:
    """Whether one of the actor's roles may do `action`. Raises KeyError for an action that is not in the table."""
    return not TABLE[action].isdisjoint(actor.roles)


def visible(actor: Actor, compartment: str | None) -> bool:
    """Whether something in this compartment exists for the actor."""
    return compartment is None or compartment in actor.compartments


def require(actor: Actor, action: str, case: Case | None = None) -> None:
    """Let it pass, or raise: PermissionDeniedError by role, UsageError (as for an unknown case) by compartment."""
    if case is not None and not visible(actor, case.compartment):
        raise HiddenCaseError(actor, action, case.case_id)
    if not allowed(actor, action):
        roles = ", ".join(sorted(TABLE[action]))
        raise RefusalError(
            actor,
            action,
            case.case_id if case else None,
            f"Your account may not do this ({action}).",
            f"Needs: {roles}.",
        )
