"""Who asks on the command line, whether they may, and the audit entry: committed before anything is looked at or written.

An entry is a transaction of its own, so that whatever happens to the question afterwards it is in the log, and no question holds
the case store's write lock while it works.

with ask(settings, name, "lookup.hash", "lookup", reason) as question:
    question.log("consultation", "hash.looked_up", ...)
    rows = ...
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from pipeline.people import permissions
from pipeline.people.person import signed_in
from pipeline.settings import Settings
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.opening import Store
from pipeline.store.refusals import HiddenCaseError, RefusalError

LIST_LIMIT = 1_000_000
"""Hashes of one list."""


@dataclass
class Enquiry:
    """One question of one person. `session` only reads."""

    session: Session
    actor: Actor
    reason: str | None
    store: Store

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
        """The audit entry, committed when this returns."""
        with self.store.session() as session:
            audit.record(
                session, self.actor, category, action, object_=about, reason=self.reason, detail=detail,
                case_id=case_id, recipient=recipient,
            )  # fmt: skip

    def log_texts(self, cases: Iterable[str], about: str) -> None:
        """One entry for each case whose texts the answer may rest on, as when they are opened on its page."""
        with self.store.session() as session:
            for case_id in sorted(set(cases)):
                audit.record(
                    session, self.actor, "consultation", "text.opened",
                    case_id=case_id, object_=about, reason=self.reason,
                )  # fmt: skip

    def hidden_referrals(self) -> list[str]:
        """Referrals that the person may not know of, sorted: those of cases, and those that wait to be published."""
        # a look-up of hashes asks about no case: it loads neither the views of cases nor the lake
        from pipeline.cases.views import hiding
        from pipeline.export.sql import sources
        from pipeline.lake import Lake

        lake = Lake.of(self.session.info["store"].settings)
        waiting = sources.hidden_referrals(lake, self.actor)
        return sorted(hiding.referrals(self.session, self.actor).union(waiting))


@contextmanager
def ask(settings: Settings, name: str | None, action: str, where: str, reason: str) -> Iterator[Enquiry]:
    """Open a question. `action` of the permission table, `where` of the policy's reasons (case, text, lookup, export).

    Raises PermissionDeniedError for an unknown account or a missing role, UsageError when a reason is demanded.
    """
    with signed_in(settings, name) as (opened, actor), ask_as(opened, actor, action, where, reason) as question:
        yield question


@contextmanager
def ask_as(opened: Store, actor: Actor, action: str, where: str, reason: str) -> Iterator[Enquiry]:
    """The same for somebody who is signed in already. Raises what `ask` raises."""
    try:
        permissions.require(actor, action)
        why = opened.rules.consultation_reason(where, reason)
        with opened.reader() as session:
            yield Enquiry(session, actor, why, opened)
    except (RefusalError, HiddenCaseError) as refused:
        with opened.session() as session:
            audit.record(
                session, refused.actor, "consultation", "refused", case_id=refused.case_id, object_=refused.action
            )
        raise


def digest(text: str) -> str:
    """SHA-256 (hex) of a statement, so that the log can be checked against a text without holding personal data."""
    return hashlib.sha256(text.encode()).hexdigest()
