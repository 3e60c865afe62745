"""Each person's own statements: kept for them alone, as many and as long as the policy says (`queries` in policy/cases.yaml).

The audit log has only a digest of a statement, so that it holds no names; this is what a person repeats their work from.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select

from pipeline.export.asking import Enquiry
from pipeline.store.context import now, rules
from pipeline.store.people_tables import PastQuery


def keep(question: Enquiry, statement: str) -> int:
    """Keep a statement that is about to run; returns its number. What is too old, or one too many, goes."""
    with question.store.session() as session:
        row = PastQuery(user_id=question.actor.user_id, at=now(session), statement=statement, rows=None)
        session.add(row)
        session.flush()
        limits = rules(session).data["queries"]
        own = PastQuery.user_id == question.actor.user_id
        newest = select(PastQuery.query_id).where(own).order_by(PastQuery.query_id.desc()).limit(limits["most"])
        session.execute(delete(PastQuery).where(own, PastQuery.query_id.not_in(newest.scalar_subquery())))
        session.execute(delete(PastQuery).where(PastQuery.at < row.at - timedelta(days=limits["days"])))
        return row.query_id


def answered(question: Enquiry, query_id: int, rows: int) -> None:
    """Keep how many rows it gave."""
    with question.store.session() as session:
        row = session.get(PastQuery, query_id)
        if row is not None:
            row.rows = rows


def own(question: Enquiry) -> list[dict[str, Any]]:
    """The person's own statements, newest first: query_id, at, statement, rows."""
    oldest: datetime = now(question.session) - timedelta(days=rules(question.session).data["queries"]["days"])
    query = select(PastQuery).where(PastQuery.user_id == question.actor.user_id, PastQuery.at >= oldest)
    found = question.session.scalars(query.order_by(PastQuery.query_id.desc()))
    return [{"query_id": q.query_id, "at": q.at, "statement": q.statement, "rows": q.rows} for q in found]
