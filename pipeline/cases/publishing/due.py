"""Notifications of a publish: each kind once for every authority that it goes to, never listed again once made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline import bulk
from pipeline.store.tables import Notification

CHUNK = 500
"""Ids in one IN list."""


class Due:
    """The notifications of the cases that a publish touches: what is listed of them, and what is new."""

    def __init__(self, session: Session, case_ids: Sequence[str], as_of: datetime) -> None:
        self.session, self.as_of = session, as_of
        self._fresh: list[Notification] = []
        self._listed: dict[str, list[Notification]] = {}
        for start in range(0, len(case_ids), CHUNK):
            query = select(Notification).where(
                bulk.one_of(self.session, Notification.case_id, case_ids[start : start + CHUNK])
            )
            for row in session.scalars(query.order_by(Notification.notification_id)):
                self._listed.setdefault(row.case_id, []).append(row)

    def follow(self, case_id: str, notifications: Sequence[Mapping[str, Any]]) -> None:
        """List what is new. Where the authority of a notification that waits has been found out meanwhile, it is named in
        the same row: one duty must not stand there twice."""
        listed = self._listed.setdefault(case_id, [])
        for item in notifications:
            same = [row for row in listed if row.kind == item["kind"] and _goes_to(row, item)]
            if same:
                continue
            waiting = next(
                (r for r in listed if r.kind == item["kind"] and r.authority is None and not r.made_at), None
            )
            if item.get("authority") is not None and waiting is not None:
                _address(waiting, item)
                continue
            row = Notification(case_id=case_id, kind=str(item["kind"]), listed_at=self.as_of)
            _address(row, item)
            listed.append(row)
            self._fresh.append(row)

    def write(self) -> None:
        """Store what is new."""
        self.session.add_all(self._fresh)


def _goes_to(row: Notification, item: Mapping[str, Any]) -> bool:
    """Whether a listed row is the duty of `item`: it goes to the same authority for the same place. An unknown authority
    adds no duty beside one that is known, and a kind that names none is listed once."""
    if item.get("authority") is None and (item.get("force_code") is None or row.force_code is None):
        return True
    return (row.place, row.authority, row.force_code) == (
        item.get("place"), item.get("authority"), item.get("force_code"),
    )  # fmt: skip


def _address(row: Notification, item: Mapping[str, Any]) -> None:
    row.label, row.reason = str(item.get("label") or ""), str(item.get("reason") or "")
    row.place, row.authority, row.force_code = item.get("place"), item.get("authority"), item.get("force_code")
