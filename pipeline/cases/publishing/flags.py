"""Flags of a publish: a new one gets its recipient and its clock; one that is no longer raised stays until acknowledged."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline import bulk
from pipeline.cases.duties.clocks import Clocks
from pipeline.cases.publishing import applying
from pipeline.store.duty_tables import Flag
from pipeline.store.tables import Assessment, Case

CHUNK = 500
"""Ids in one IN list."""


class Flags:
    """The flags of the cases that a publish touches: what is stored of them, and what is new."""

    def __init__(self, session: Session, clocks: Clocks, case_ids: Sequence[str], as_of: datetime) -> None:
        self.session, self.clocks, self.as_of = session, clocks, as_of
        self.fresh: list[Flag] = []
        self._raised: dict[str, dict[str, Flag]] = {}
        self._gone: dict[str, list[Flag]] = {}
        """Flags that one assessment raised and a later one of the same publish does not: not stored yet, and they wait."""
        for start in range(0, len(case_ids), CHUNK):
            query = select(Flag).where(
                bulk.one_of(self.session, Flag.case_id, case_ids[start : start + CHUNK]), Flag.gone_at.is_(None)
            )
            for row in session.scalars(query):
                self._raised.setdefault(row.case_id, {})[row.rule] = row

    def follow(
        self, case: Case, flags: Sequence[Mapping[str, Any]], hidden: Collection[str], compartment: str | None
    ) -> int:
        """Take over the flags of a case's newest assessment; returns how many are new.

        `hidden` are ids that a reader of the case need not be allowed to know of; a flag that rests on such alone is
        put into `compartment`.
        """
        raised = self._raised.setdefault(case.case_id, {})
        secret = applying.restricted_labels([dict(flag) for flag in flags], hidden) if flags else set()
        new = 0
        for flag in flags:
            where = compartment if flag["label"] in secret else None
            known = raised.get(flag["rule"])
            if known is None:
                raised[flag["rule"]] = self._new(case.case_id, flag, where)
                new += 1
            elif known.compartment is not None and where is None:
                known.compartment = None  # now also known from what every reader of the case may see
        for rule in raised.keys() - {flag["rule"] for flag in flags}:
            gone = raised.pop(rule)
            gone.gone_at = self.as_of
            self._gone.setdefault(case.case_id, []).append(gone)
        self._mark(case)
        return new

    def move(self, old: Case, into: Case) -> None:
        """A case joined to another: its waiting flags go on there, unless that case has raised the same."""
        there = self._raised.setdefault(into.case_id, {})
        for rule, flag in self._raised.pop(old.case_id, {}).items():
            if rule in there:
                flag.waiting = False
                flag.acknowledged_at, flag.note = self.as_of, f"Goes on in case {into.case_id}."
            else:
                flag.case_id = into.case_id
                there[rule] = flag
        old.unacknowledged = False
        self._mark(into)

    def write(self) -> None:
        """Store what is new. Called once, when the cases are."""
        self.session.add_all(self.fresh)

    def _new(self, case_id: str, flag: Mapping[str, Any], compartment: str | None) -> Flag:
        duty = self.clocks.of(flag["rule"])
        row = Flag(
            case_id=case_id,
            rule=flag["rule"],
            label=str(flag.get("label") or flag["rule"]),
            reason=str(flag.get("reason") or ""),
            role=duty.role,
            post=duty.post,
            compartment=compartment,
            raised_at=self.as_of,
            due_at=duty.due(self.as_of),
            waiting=True,
        )
        self.fresh.append(row)
        return row

    def _mark(self, case: Case) -> None:
        open_to_readers = {None, case.compartment}
        waiting = [f for f in self._raised.get(case.case_id, {}).values() if f.waiting]
        if any(f.compartment in open_to_readers for f in waiting):
            case.unacknowledged = True
        elif case.unacknowledged:  # a flag that is gone and was not acknowledged may still wait
            query = select(Flag.compartment).where(Flag.case_id == case.case_id, Flag.waiting.is_(True))
            left = {f.compartment for f in self._gone.get(case.case_id, ()) if f.waiting}
            case.unacknowledged = not open_to_readers.isdisjoint(left.union(self.session.scalars(query)))


def never_raised(session: Session) -> Iterator[tuple[Case, Assessment]]:
    """Flagged cases of a store in which flags have never been written, each with its newest assessment: those of an older
    version get their flags with the first publish."""
    if session.scalar(select(Flag.flag_id).limit(1)) is None:
        query = select(Case, Assessment).join(Assessment, Assessment.assessment_id == Case.assessment_id)
        found = session.execute(query.where(Case.flagged.is_(True)).order_by(Case.case_id))
        yield from ((case, newest) for case, newest in found)
