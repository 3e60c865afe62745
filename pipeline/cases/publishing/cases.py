"""Applying assessments to the stored cases in batches, and writing everything that follows from each in bulk.

What a publish holds in memory is one batch and ids, however many cases it has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from pipeline import bulk, senders
from pipeline.cases import groups, words
from pipeline.cases.duties import waiting
from pipeline.cases.duties.clocks import Clocks
from pipeline.cases.publishing import answered, applying
from pipeline.cases.publishing.applying import Effect
from pipeline.cases.publishing.due import Due
from pipeline.cases.publishing.flags import Flags, never_raised
from pipeline.cases.publishing.intake import Intake, NewAssessment
from pipeline.cases.publishing.restricting import Restricted
from pipeline.cases.states import put
from pipeline.cases.views import supervision
from pipeline.cases.work import bands, kirat, second_looks
from pipeline.cases.work.decisions import close
from pipeline.lake import Lake
from pipeline.store import recording as audit
from pipeline.store.actors import SYSTEM
from pipeline.store.context import store
from pipeline.store.rules import CaseRules
from pipeline.store.tables import (
    Assessment,
    Case,
    CaseReferral,
    Change,
    Lowering,
    Review,
    Tombstone,
)

CHUNK = 500
"""Ids in one IN list."""


class Publisher:
    """One publish, in one transaction: batches of assessments in their order (`apply`), then what is told beside (`line`),
    then `finish`. Of a batch it loads what it needs, applies each assessment, collects rows, and writes them at its end."""

    def __init__(self, session: Session, policy: CaseRules, intake: Intake, as_of: datetime, run_id: str) -> None:
        self.session, self.policy, self.intake, self.as_of, self.run_id = session, policy, intake, as_of, run_id
        self.counts: Counter[str] = Counter()
        self.lines: list[dict[str, Any]] = []
        self.cases: dict[str, Case] = {}
        self.opened: set[str] = set()
        """Cases that this publish opened."""
        self._touched: set[str] = set()
        self._counted_up: set[str] = set()
        """Cases that have their next version: a publish gives one, in however many batches a case is."""
        self.erased = set(session.scalars(select(Tombstone.case_id)))
        self.erased_referrals = {r for listed in session.scalars(select(Tombstone.referrals)) for r in listed}
        self.restricted = Restricted(session, intake)
        self._matches: pa.Table | None = None
        self._begin([])
        for case, newest in never_raised(session):
            self.cases[case.case_id] = case
            self.restricted.learn(newest.flags)
            self.flags.follow(case, newest.flags, self.restricted.hidden(case), self._other_compartment(case))
        self._write()

    def _begin(self, batch: Sequence[NewAssessment]) -> None:
        """Load what is stored of the cases of a batch."""
        wanted = sorted({c for a in batch for c in (a.row["case_id"], *a.joined)})
        self._batch = batch
        self._new: set[str] = set()
        self.cases = {c.case_id: c for c in self._load(Case, wanted, lock=True)}
        self.latest = self._latest()
        self.intake.learn(r for new in batch for r in (new.row["referral_id"], *new.referrals))
        self.restricted.learn(item for new in batch for item in (*new.reasons, *new.flags))
        self.restricted.learn(item for old in self.latest.values() for item in (*old.reasons, *old.flags))
        self._stored: dict[str, tuple[dict[str, Any], NewAssessment]] = {}
        """Assessments of this batch that are the newest of their cases, as columns: few cases have another in the same."""
        self._referrals = self._known_referrals()
        self.due = Due(self.session, wanted, self.as_of)
        self.releases = self._releases()
        self.flags = Flags(self.session, Clocks.load(store(self.session).settings), wanted, self.as_of)
        self.answers = answered.rows(self.session, wanted)
        self._rows: dict[type[Any], list[dict[str, Any]]] = {t: [] for t in (Assessment, CaseReferral, Review)}

    def apply(self, batch: Sequence[NewAssessment]) -> None:
        """Apply assessments, which stand in order of version, and write what follows."""
        self._begin(batch)
        for new in batch:
            self.counts["assessments"] += 1
            case_id = new.row["case_id"]
            if case_id in self.erased:
                self.counts["erased"] += 1
            elif case_id in self.cases:
                self._update(self.cases[case_id], new)
            else:
                self._open(new)
            for old in new.joined:
                self._join(old, case_id)
        self._write()

    def line(self, case: Case, kind: str, text: str, compartment: str | None = None) -> None:
        """One line of a case's history."""
        self.lines.append(
            {
                "case_id": case.case_id,
                "at": self.as_of,
                "run_id": self.run_id,
                "by": SYSTEM.user_id,
                "kind": kind,
                "text": text,
                "compartment": compartment,
            }
        )

    def _write(self) -> None:
        """Write collected rows; every case that changed gets its newest line of history and its next version."""
        for table, rows in self._rows.items():
            bulk.insert(self.session, table, rows)
        self._tell()
        self._touched.update(self.cases)
        self.session.add_all(self.cases[case_id] for case_id in sorted(self._new))
        self.due.write()
        bulk.write(self.session, self.cases.values())
        self.session.flush()
        self.flags.write()  # after their cases: what waits is settled once, and not again for every case
        self.session.flush()
        waiting.settle(self.session, at_least=waiting.MANY_TALLIES)

    def _tell(self) -> None:
        """Write the lines of history; a case's newest is what it says itself."""
        bulk.numbered(self.session, Change, self.lines)
        bulk.insert(self.session, Change, self.lines)
        newest = {line["case_id"]: line["change_id"] for line in self.lines}
        for case_id, change_id in newest.items():
            case = self.cases[case_id]
            case.change_id = change_id
            case.changed_at, case.changed_by = self.as_of, SYSTEM.user_id
            case.version += case_id not in self._counted_up
        self._counted_up.update(newest)
        self.lines.clear()

    def finish(self) -> None:
        """Write the lines of history that were added after the last batch, and make the groups of all cases anew."""
        asked = {*self._touched, *self.cases, *self._linked()}
        self._tell()
        groups.regroup(self.session, asked, list(self.cases.values()))
        self.session.flush()
        waiting.settle(self.session)

    def hold(self, case_ids: Sequence[str]) -> None:
        """Load cases that get a line, beside those of the last batch."""
        missing = sorted({c for c in case_ids if c not in self.cases})
        self.cases |= {case.case_id: case for case in self._load(Case, missing, lock=True)}

    def _linked(self) -> Iterator[str]:
        """Cases on either side of a link of this publish, withdrawn ones included: their groups may have changed."""
        sides = sorted({link[side] for link in self.intake.links for side in ("left", "right")})
        for part in chunks(sides):
            query = select(CaseReferral.case_id).where(bulk.one_of(self.session, CaseReferral.referral_id, part))
            yield from self.session.scalars(query)

    def _open(self, new: NewAssessment) -> None:
        compartment = self._compartment(new)
        case = applying.open_case(new, compartment, self.as_of, self.run_id)
        if compartment is not None:
            self.restricted.opened(case)
        applying.refresh(case, new, self.restricted.hidden(case))
        self.cases[case.case_id] = case
        self._new.add(case.case_id)
        self.opened.add(case.case_id)
        self.counts["opened"] += 1
        self._store(case, new, None)
        self._rows[Review] += supervision.schedule(self.policy, case.case_id, self.as_of)
        self.line(case, "opened", f"Case opened at band {words.band(case.band)}")
        self._log("collection", "case.opened", case, {"band": case.band, "assessment": case.assessment_id})

    def _update(self, case: Case, new: NewAssessment) -> None:
        previous = self._previous(case.case_id)
        new = answered.renewed(self.session, new, previous, self.answers)
        self.restricted.learn([*new.reasons, *new.flags])
        if previous is not None and new.row["inputs_sha256"] == previous.inputs_sha256:
            self.counts["known"] += 1
            return
        before = case.band
        self._restrict(case, self._compartment(new))
        releases = self._new_releases(previous, new)
        hidden = self.restricted.hidden(case)
        effect = applying.apply(case, previous, new, self.policy, hidden=hidden, releases=releases)
        self._store(case, new, previous)
        self._follow(case, new, effect)
        for kind, text, restricted in effect.lines:
            self.line(case, kind, text, self._other_compartment(case) if restricted else None)
        self.counts["updated"] += 1
        self.counts["raised"] += bands.higher(case.band, before)
        detail = {"band": [before, case.band], "model_band": new.row["band"], "assessment": new.row["assessment_id"]}
        self._log("alteration", "case.assessed", case, detail)

    def _restrict(self, case: Case, compartment: str | None) -> None:
        """Put a case into a compartment; whoever held it and may not see it any more is told only that it was taken over."""
        if compartment is None or case.compartment is not None:
            return
        case.compartment = compartment
        if held := self.restricted.withdraw(case):
            self.line(case, "released", f"Taken over from {held}, who may not see it")

    def _previous(self, case_id: str) -> Assessment | None:
        """The case's newest assessment so far: the one that is stored, or one of this batch."""
        if case_id in self._stored:
            columns, new = self._stored.pop(case_id)
            parsed = {"reasons": new.reasons, "flags": new.flags, "summary": new.summary}
            self.latest[case_id] = Assessment(**{**columns, **parsed})
        return self.latest.get(case_id)

    def _follow(self, case: Case, new: NewAssessment, effect: Effect) -> None:
        if effect.reopened:
            case.outcome = case.closed_at = case.closed_band = case.retention_review_at = None
            case.reopened_at = self.as_of
            self.counts["reopened"] += 1
            self.line(case, "reopened", f"Back in the queue: {case.reopen_reason}")
            self._log("alteration", "case.reopened", case, {"reason": case.reopen_reason})
            if not self.session.scalar(
                select(Review.review_id).where(Review.case_id == case.case_id, Review.done_at.is_(None)).limit(1)
            ):
                self._rows[Review] += supervision.schedule(self.policy, case.case_id, self.as_of)
        if case.lowering_pending and (effect.propose or effect.withdraw or effect.withdraw_all):
            self._withdraw(case, everybody=effect.withdraw_all)
        if effect.propose and not case.lowering_pending:
            self._propose(case, new, effect.propose)
        text = effect.second_look
        if text:
            second_looks.ask(self.session, SYSTEM, case, "person_below_model", text)
        contradiction = kirat.contradiction(self.policy, case) if case.is_open else None
        if contradiction:
            second_looks.ask(self.session, SYSTEM, case, "kirat", contradiction)

    def _withdraw(self, case: Case, *, everybody: bool) -> None:
        query = select(Lowering).where(Lowering.case_id == case.case_id, Lowering.status == "pending")
        left = False
        for proposal in self.session.scalars(query):
            if everybody or proposal.proposed_by == SYSTEM.user_id:
                proposal.status, proposal.decided_by, proposal.decided_at = "withdrawn", SYSTEM.user_id, self.as_of
            else:
                left = True
        case.lowering_pending = left

    def _propose(self, case: Case, new: NewAssessment, band: str) -> None:
        self.session.add(
            Lowering(
                case_id=case.case_id,
                assessment_id=new.row["assessment_id"],
                from_band=case.band,
                to_band=band,
                proposed_at=self.as_of,
                proposed_by=SYSTEM.user_id,
                reason_code="model_lowered",
                status="pending",
            )
        )
        case.lowering_pending = True
        self.counts["lowerings_proposed"] += 1
        self.line(case, "lowering_proposed", f"Assessment fell to {words.band(band)}: waits for a person")

    def _store(self, case: Case, new: NewAssessment, previous: Assessment | None) -> None:
        columns = new.columns(previous.sequence + 1 if previous else 1)
        self._rows[Assessment].append(columns)
        self._stored[case.case_id] = (columns, new)
        for referral in new.referrals:
            stored = self._referrals.get(referral)
            if stored is None:
                self._rows[CaseReferral].append({"referral_id": referral, "case_id": case.case_id})
                self._referrals[referral] = case.case_id
            elif stored != case.case_id:
                self._move_referral(referral, case.case_id)
        self.counts["flags_new"] += self.flags.follow(
            case, new.flags, self.restricted.hidden(case), self._other_compartment(case)
        )
        self.due.follow(case.case_id, new.notifications)

    def _move_referral(self, referral: str, case_id: str) -> None:
        for row in self._rows[CaseReferral]:
            if row["referral_id"] == referral:
                row["case_id"] = case_id
        stored = self.session.get(CaseReferral, referral)
        if stored is not None:
            stored.case_id = case_id
        self._referrals[referral] = case_id

    def _join(self, old_id: str, into: str) -> None:
        """A case whose referral turned out to supplement another: its work goes on in that case."""
        old, case = self.cases.get(old_id), self.cases.get(into)
        if old is None or case is None or not old.is_open or old is case:
            return
        if case.holder is None and old.holder is not None and case.is_open:
            case.holder, case.claimed_at, case.claim_expires_at = old.holder, old.claimed_at, old.claim_expires_at
            put(case, old.state)
        if bands.higher(old.band, case.band):
            bands.put(case, old.band)
            case.due_at = min(case.due_at, old.due_at)
        if old.lowering_pending:
            self._withdraw(old, everybody=True)
        self.flags.move(old, case)
        put(old, "closed")
        old.outcome = "duplicate"
        close(self.session, old)
        old.closed_at = self.as_of
        self.counts["joined"] += 1
        self.line(old, "joined", f"Joined to case {into}: its referral supplements that case's")
        self.line(case, "joined", f"Case {old_id} joined to this one: its referral supplements this case's")
        self._log("combination", "case.joined", case, {"from": old_id})
        if case.compartment is not None and (held := self.restricted.withdraw(case)):
            self.line(case, "released", f"Taken over from {held}, who may not see it")

    def _log(self, category: str, action: str, case: Case, detail: dict[str, Any]) -> None:
        audit.record(
            self.session, SYSTEM, category, action, case_id=case.case_id, object_=f"run:{self.run_id}", detail=detail
        )

    # -- what is loaded before ------------------------------------------------------------------------------------

    def _load(self, table: type[Any], ids: Sequence[str], *, lock: bool = False) -> Iterator[Any]:
        for part in chunks(ids):
            query = select(table).where(bulk.one_of(self.session, table.case_id, part)).order_by(table.case_id)
            yield from self.session.scalars(query.with_for_update() if lock else query)

    def _latest(self) -> dict[str, Assessment]:
        latest: dict[str, Assessment] = {}
        for part in chunks(sorted({case.assessment_id for case in self.cases.values()})):
            query = select(Assessment).where(bulk.one_of(self.session, Assessment.assessment_id, part))
            for row in self.session.scalars(query.options(defer(Assessment.unknowns), defer(Assessment.notifications))):
                latest[row.case_id] = row
        return latest

    def _known_referrals(self) -> dict[str, str]:
        known: dict[str, str] = {}
        for part in chunks(sorted({r for a in self._batch for r in a.referrals})):
            for row in self.session.scalars(
                select(CaseReferral).where(bulk.one_of(self.session, CaseReferral.referral_id, part))
            ):
                known[row.referral_id] = row.case_id
        return known

    def _compartment(self, new: NewAssessment) -> str | None:
        """The case's compartment: any of its referrals', or what the assessment says."""
        stated = new.summary.get("compartment")
        return self.intake.restricted([new.row["referral_id"], *new.referrals]) or (str(stated) if stated else None)

    def _other_compartment(self, case: Case) -> str | None:
        return next((c for c in senders.COMPARTMENTS if c != case.compartment), None)

    def _releases(self) -> dict[str, str]:
        """Match id to release, for match evidence of cases that were there before."""
        wanted = {
            match
            for new in self._batch
            if new.row["case_id"] in self.cases
            if (found := applying.match_evidence(new.reasons))
            for match in found - self._matched(new.row["case_id"])
        }
        if not wanted:
            return {}
        if self._matches is None:  # once for all batches
            self._matches = Lake.of(store(self.session).settings).read("matches", ["match_id", "release"])
        rows = self._matches.filter(pc.is_in(self._matches["match_id"], value_set=pa.array(sorted(wanted))))
        return {row["match_id"]: str(row["release"]) for row in rows.to_pylist()}

    def _matched(self, case_id: str) -> set[str]:
        previous = self.latest.get(case_id)
        return applying.match_evidence(previous.reasons) if previous else set()

    def _new_releases(self, previous: Assessment | None, new: NewAssessment) -> set[str]:
        if not self.releases:
            return set()
        before = applying.match_evidence(previous.reasons) if previous else set()
        return {self.releases[m] for m in applying.match_evidence(new.reasons) - before if m in self.releases}


def chunks(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK]
