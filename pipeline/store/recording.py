"""The audit log: who did what to which case, when and why, in the same transaction as the deed.

Categories are those of DPA 2018 s.62. Entries are collected during a transaction and appended to the hash chain as
its last step, so that a transaction that cannot be logged does not happen, and the chain's head is locked for the
shortest time. Each entry's hash is SHA-256 over the hash before it and the entry's canonical JSON. `at` is the time
of the deed by the clock, also in the nightly run: the log is evidence, not a table that a repeated run rebuilds.

Never put personal data in `object` or `detail`: ids, codes and counts only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Table, insert, select, update
from sqlalchemy.orm import Session

from pipeline import bulk
from pipeline.errors import IntegrityError, TriageError
from pipeline.jsontext import canonical_json
from pipeline.store.actors import Actor
from pipeline.store.context import now
from pipeline.store.people_tables import AuditEntry, AuditHead

CATEGORIES = ("collection", "alteration", "consultation", "disclosure", "combination", "erasure")
GENESIS = "0" * 64
"""`previous` of the first entry."""
CHUNK = 5_000
"""Entries that are written at a time."""
FEW = 20
"""Entries up to which the statement that is built already is the shortest way, as for every deed of a person."""
_ENTRIES: Table = AuditEntry.__table__  # type: ignore[assignment]
_HEADS: Table = AuditHead.__table__  # type: ignore[assignment]
_HEAD = select(_HEADS.c.seq, _HEADS.c.hash).where(_HEADS.c.head_id == 1).with_for_update()
_APPEND = insert(_ENTRIES)
_MOVE_HEAD = update(_HEADS).where(_HEADS.c.head_id == 1)
"""Statements of the tables themselves, built once: others wait for the chain's head while they run."""
FIELDS = (
    "seq", "at", "user_id", "user_name", "roles", "category", "action", "case_id", "object", "reason", "recipient",
    "detail", "previous",
)  # fmt: skip
"""What an entry's hash covers, in this order."""


@dataclass(frozen=True)
class PendingEntry:
    """An entry that waits for its transaction to end."""

    actor: Actor
    category: str
    action: str
    case_id: str | None = None
    object: str | None = None
    reason: str | None = None
    recipient: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


def record(
    session: Session,
    actor: Actor,
    category: str,
    action: str,
    *,
    case_id: str | None = None,
    object_: str | None = None,
    reason: str | None = None,
    recipient: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Log one deed; it becomes part of the chain when the transaction commits, or not at all.

    `recipient` is who received the data, demanded for category disclosure.
    Raises TriageError for an unknown category, a disclosure without recipient, or a session that will not commit.
    """
    if session.info.get("read_only"):
        raise TriageError("This transaction only reads and could not be logged.", "Use Store.session().")
    if category not in CATEGORIES:
        raise TriageError(f"{category!r} is not a category of the audit log.", f"Known: {', '.join(CATEGORIES)}.")
    if category == "disclosure" and not recipient:
        raise TriageError("A disclosure needs a recipient.")
    pending(session).append(
        PendingEntry(actor, category, action, case_id, object_, reason, recipient, dict(detail or {}))
    )


def pending(session: Session) -> list[PendingEntry]:
    """Entries that wait for the end of this session's transaction."""
    entries: list[PendingEntry] = session.info.setdefault("audit", [])
    return entries


def append_pending(session: Session) -> None:
    """Append waiting entries to the chain; called as the last step before commit.

    Raises IntegrityError when the chain has no head: the store is damaged and nothing may go on unlogged.
    """
    entries = pending(session)
    if not entries:
        return
    connection = session.connection()
    head = connection.execute(_HEAD).first()
    if head is None:
        raise IntegrityError("The audit log has no head entry.", "Restore the case store from a backup.")
    seq, previous = head
    at = now(session).isoformat(timespec="microseconds")
    rows: list[dict[str, Any]] = []
    for entry in entries:
        seq += 1
        row = {
            "seq": seq,
            "at": at,
            "user_id": entry.actor.user_id,
            "user_name": entry.actor.name,
            "roles": ",".join(sorted(entry.actor.roles)),
            "category": entry.category,
            "action": entry.action,
            "case_id": entry.case_id,
            "object": entry.object,
            "reason": entry.reason,
            "recipient": entry.recipient,
            "detail": canonical_json(entry.detail),
            "previous": previous,
        }
        previous = entry_hash(row)
        rows.append({**row, "hash": previous})
        if len(rows) == CHUNK:
            _write(session, rows)
            rows = []
    _write(session, rows)
    connection.execute(_MOVE_HEAD, {"seq": seq, "hash": previous})
    entries.clear()


def _write(session: Session, rows: list[dict[str, Any]]) -> None:
    if len(rows) > FEW:
        bulk.insert(session, AuditEntry, rows)
    elif rows:
        session.connection().execute(_APPEND, rows)


def entry_hash(row: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of an entry over FIELDS; `previous` among them ties it to the entry before."""
    return hashlib.sha256(canonical_json([row[name] for name in FIELDS]).encode()).hexdigest()
