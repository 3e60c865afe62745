"""Links of a publish: stored by their id, the newest wording wins; a new one is told to both cases."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline import bulk
from pipeline.cases.publishing.cases import Publisher, chunks
from pipeline.cases.publishing.intake import Intake
from pipeline.store import recording as audit
from pipeline.store.actors import SYSTEM
from pipeline.store.tables import CaseReferral, Link
from pipeline.store.types import Encoded


def publish_links(session: Session, intake: Intake, publisher: Publisher, as_of: datetime) -> Counter[str]:
    """Write the links; returns how many are new, changed, withdrawn or left out for an erased case."""
    counts: Counter[str] = Counter()
    wanted = [row for row in intake.links if not _erased(row, publisher)]
    counts["links_erased"] += len(intake.links) - len(wanted)
    stored: dict[str, Link] = {}
    for part in chunks(sorted(row["link_id"] for row in wanted)):
        stored |= {
            link.link_id: link for link in session.scalars(select(Link).where(bulk.one_of(session, Link.link_id, part)))
        }
    fresh = []
    for row in wanted:
        values = _columns(row, intake, as_of)
        link = stored.get(row["link_id"])
        if link is None:
            fresh.append(values)
            continue
        counts["links_withdrawn" if values["withdrawn"] and not link.withdrawn else "links_changed"] += 1
        for name, value in values.items():
            setattr(link, name, value)
    bulk.insert(session, Link, fresh)
    counts["links_new"] += len(fresh)
    _tell(session, publisher, [row for row in fresh if not row["withdrawn"]])
    return +counts


def _erased(row: dict[str, Any], publisher: Publisher) -> bool:
    return not publisher.erased_referrals.isdisjoint((row["left"], row["right"]))


def _columns(row: dict[str, Any], intake: Intake, as_of: datetime) -> dict[str, Any]:
    return {
        "link_id": row["link_id"],
        "left_referral": row["left"],
        "right_referral": row["right"],
        "kind": row["kind"],
        "strength": row["strength"],
        "compartment": intake.restricted((row["left"], row["right"])),
        "withdrawn": bool(row.get("withdrawn")),
        "evidence": Encoded(row["evidence"]),
        "explanation": row["explanation"],
        "run_id": row["run_id"],
        "found_at": row.get("found_at") or as_of,
    }


def _tell(session: Session, publisher: Publisher, links: list[dict[str, Any]]) -> None:
    """A line in the history of the cases on both sides (not of cases opened just now), and a combination in the log."""
    referrals = sorted({row[side] for row in links for side in ("left_referral", "right_referral")})
    of: dict[str, str] = {}
    for part in chunks(referrals):
        query = select(CaseReferral.referral_id, CaseReferral.case_id).where(
            bulk.one_of(session, CaseReferral.referral_id, part)
        )
        of |= {row.referral_id: row.case_id for row in session.execute(query)}
    publisher.hold(sorted(set(of.values())))
    for row in links:
        sides = [of.get(row["left_referral"]), of.get(row["right_referral"])]
        if sides[0] == sides[1]:
            continue
        audit.record(
            session,
            SYSTEM,
            "combination",
            "link.found",
            case_id=sides[0] or sides[1],
            object_=f"link:{row['link_id']}",
            detail={"kind": row["kind"], "strength": row["strength"]},
        )
        for case_id in sides:
            case = publisher.cases.get(case_id) if case_id else None
            if case is None or case.case_id in publisher.opened:
                continue
            hidden = row["compartment"] if row["compartment"] != case.compartment else None
            publisher.line(case, "new_link", f"New {row['strength']} link: {row['kind']}", hidden)
