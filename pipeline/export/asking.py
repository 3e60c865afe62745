"""Who asks on the command line, whether they may, and the audit entry: written before the answer is shown.

with ask(settings, name, "lookup.hash", "lookup", reason) as question:
    rows = ...
    question.log("consultation", "hash.looked_up", ...)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from pipeline.cases.views import case as views
from pipeline.export import sources
from pipeline.lake import Lake
from pipeline.people import permissions
from pipeline.people.person import signed_in
from pipeline.settings import Settings
from pipeline.store import recording as audit
from pipeline.store.actors import Actor

LIST_LIMIT = 1_000_000
"""Hashes of one list."""


@dataclass
class Question:
    """One question of one person, inside the transaction that logs it."""

    session: Session
    actor: Actor
    reason: str | None

    def log(
        self,
        category: str,
        action: str,
        about: str,
        detail: Mapping[str, Any],
        *,
        case_id: str | None = None,
        recipient: str | None = None,
    ) -> None:
        """The audit entry; it commits when the question ends without an error."""
        audit.record(
            self.session, self.actor, category, action, object_=about, reason=self.reason, detail=detail,
            case_id=case_id, recipient=recipient,
        )  # fmt: skip

    def hidden_referrals(self) -> list[str]:
        """Referrals that the person may not know of, sorted: those of cases, and those that wait to be published."""
        lake = Lake.of(self.session.info["store"].settings)
        waiting = sources.hidden_referrals(lake, self.actor)
        return sorted(views.hidden_referrals(self.session, self.actor).union(waiting))


@contextmanager
def ask(settings: Settings, name: str | None, action: str, where: str, reason: str) -> Iterator[Question]:
    """Open a question. `action` of the permission table, `where` of the policy's reasons (case, text, lookup, export).

    Raises PermissionDeniedError for an unknown account or a missing role, UsageError when a reason is demanded.
    """
    with signed_in(settings, name) as (opened, actor), opened.session() as session:
        permissions.require(actor, action)
        yield Question(session, actor, opened.rules.consultation_reason(where, reason))


def digest(text: str) -> str:
    """SHA-256 (hex) of a statement, so that the log can be checked against a text without holding personal data."""
    return hashlib.sha256(text.encode()).hexdigest()
