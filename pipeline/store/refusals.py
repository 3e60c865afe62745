"""Refused attempts: what the person is told, and what the audit log needs to record them."""

from __future__ import annotations

from pipeline.errors import PermissionDeniedError, UsageError
from pipeline.store.actors import Actor


class RefusalError(PermissionDeniedError):
    """A refused attempt, with what the audit log needs to record it."""

    def __init__(self, actor: Actor, action: str, case_id: str | None, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.actor, self.action, self.case_id = actor, action, case_id


class HiddenCaseError(UsageError):
    """A case in a compartment that the actor has not: reads exactly as a case that does not exist."""

    def __init__(self, actor: Actor, action: str, case_id: str) -> None:
        unknown = no_such_case(case_id)
        super().__init__(unknown.message, unknown.remedy)
        self.actor, self.action, self.case_id = actor, action, case_id


def no_such_case(case_id: str) -> UsageError:
    """The answer for a case that is not there, and for one that the person may not know of."""
    return UsageError(f"There is no case {case_id!r}.", "`triage queue list` shows the cases you may see.")
