"""Reading, verifying and exporting the audit log."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline import files
from pipeline.audit import anchors
from pipeline.errors import IntegrityError, UsageError
from pipeline.jsontext import canonical_json
from pipeline.people import permissions
from pipeline.store import recording as audit
from pipeline.store.actors import Actor
from pipeline.store.context import rules, store
from pipeline.store.opening import Store
from pipeline.store.people_tables import AuditEntry, AuditHead

COLUMNS = (*audit.FIELDS, "hash")


@dataclass(frozen=True)
class Verified:
    """Result of a check: how many entries, the head, and how many anchors outside the store agree."""

    entries: int
    head: str
    anchors: int


def entries(
    session: Session,
    actor: Actor,
    *,
    case_id: str | None = None,
    user_id: str | None = None,
    category: str | None = None,
    since: str | None = None,
    until: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> Sequence[AuditEntry]:
    """The newest entries first. For auditors, who see all compartments' entries (case numbers, no content).

    `since` and `until` are moments or days as ISO text, `until` excluded; `before` is the number of an entry that is not shown any more. The look is logged itself. Raises UsageError for an unknown category.
    """
    permissions.require(actor, "audit.read")
    if category is not None and category not in audit.CATEGORIES:
        raise UsageError(f"{category!r} is not a category.", f"Known: {', '.join(audit.CATEGORIES)}.")
    query = select(AuditEntry).order_by(AuditEntry.seq.desc()).limit(limit)
    for column, value in (
        (AuditEntry.case_id, case_id),
        (AuditEntry.user_id, user_id),
        (AuditEntry.category, category),
    ):
        if value is not None:
            query = query.where(column == value)
    if since is not None:
        query = query.where(AuditEntry.at >= since)
    if until is not None:
        query = query.where(AuditEntry.at < until)
    if before is not None:
        query = query.where(AuditEntry.seq < before)
    asked = {"case": case_id, "user": user_id, "category": category, "since": since, "until": until}
    audit.record(session, actor, "consultation", "audit.read", detail={k: v for k, v in asked.items() if v})
    return session.scalars(query).all()


def rows(session: Session) -> Generator[dict[str, Any], None, None]:
    """All entries in order, streamed; to be closed (`contextlib.closing`), as PostgreSQL keeps a cursor open for it."""
    query = select(AuditEntry.__table__).order_by(AuditEntry.seq).execution_options(yield_per=2000)
    with session.execute(query) as result:
        for row in result.mappings():
            yield dict(row)


def verify(opened: Store, actor: Actor, signed: Mapping[int, str] | None = None) -> Verified:
    """Check the whole chain, its head, every anchor outside the store, and the hashes that a signed digest states (`digest.read`).

    Raises IntegrityError saying where the log was edited, cut, reordered or rewritten.
    """
    permissions.require(actor, "audit.verify")
    outside, promises = _outside(opened), Promises()
    for seq, hash_ in (signed or {}).items():
        if outside.setdefault(seq, hash_) != hash_:
            raise IntegrityError(f"An anchor and the signed digest name different hashes for entry {seq}.", _REMEDY)
    with opened.reader() as session:
        if opened.dialect == "postgresql":  # the head and all entries as they were at one moment, as SQLite shows them
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        with closing(rows(session)) as found:
            count, head = check(promises.seen(found), outside)
        stored = session.execute(select(AuditHead.seq, AuditHead.hash)).first()
    promises.hold(len(anchors.read(opened.settings)))  # read again: a night may have ended since
    if stored is None or (stored.seq, stored.hash) != (count, head):
        raise IntegrityError(
            f"The log ends at entry {count}, but its head names entry {stored.seq if stored else 'none'}: "
            "entries were cut off or added by hand.",
            _REMEDY,
        )
    return Verified(count, head, len(outside))


def _outside(opened: Store) -> dict[int, str]:
    """The anchored hashes by entry number."""
    outside: dict[int, str] = {}
    for anchor in anchors.read(opened.settings):
        outside.setdefault(anchor.seq, anchor.hash)
        if outside[anchor.seq] != anchor.hash:
            raise IntegrityError(f"Two anchors name different hashes for entry {anchor.seq}: the log was rewritten.")
    return outside


class Promises:
    """How many anchors the log says that there are, gathered while its entries go by."""

    def __init__(self) -> None:
        self.most, self.entry = 0, 0

    def seen(self, found: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """The same entries; those of published nights are remembered."""
        for row in found:
            if row["action"] == "night.published":
                number = json.loads(row["detail"]).get("anchors", 0)
                if number > self.most:
                    self.most, self.entry = number, row["seq"]
            yield row

    def hold(self, lines: int) -> None:
        """Raises IntegrityError when the anchor file has fewer lines than a night promised."""
        if lines < self.most:
            raise IntegrityError(
                f"The anchor file has {lines} anchors, entry {self.entry} says that there are {self.most}: the file is "
                "missing, was emptied or cut, or that night ended before it wrote its anchor.",
                "If the night was stopped, run its publish stage again. Else compare with the copy outside this machine; "
                "TRIAGE_ANCHORS names the file.",
            )


_REMEDY = "Keep the store as it is, tell the information security officer, compare with backups and the anchor file."


def check(found: Iterable[Mapping[str, Any]], outside: Mapping[int, str]) -> tuple[int, str]:
    """Walk a chain from its first entry; `outside` are anchored hashes by number. Returns (entries, head hash).

    Raises IntegrityError at the first entry that is missing, moved, edited, or not what an anchor says.
    """
    number, previous = 0, audit.GENESIS
    for row in found:
        number += 1
        if row["seq"] != number:
            raise IntegrityError(f"Entry {number} is missing or out of order (found {row['seq']}).", _REMEDY)
        if row["previous"] != previous:
            raise IntegrityError(f"Entry {number} does not follow the one before: moved or replaced.", _REMEDY)
        if audit.entry_hash(row) != row["hash"]:
            raise IntegrityError(f"Entry {number} was edited.", _REMEDY)
        previous = row["hash"]
        if outside.get(number, previous) != previous:
            raise IntegrityError(f"Entry {number} is not what its anchor says: the log was rewritten.", _REMEDY)
    last = max(outside, default=0)
    if last > number:
        raise IntegrityError(f"The log ends at entry {number}, an anchor names entry {last}: its end was cut.", _REMEDY)
    return number, previous


def export(opened: Store, actor: Actor, path: Path, recipient: str, reason: str | None = None) -> int:
    """Write the whole log as JSON lines, all or nothing; returns how many entries. A disclosure with its recipient.

    The disclosure is logged and committed before the file is written, so that no file leaves unlogged; its entry is
    the last one in the file. The file can be checked anywhere with `triage audit verify --file`.
    Raises UsageError when a reason is demanded and missing.
    """
    with opened.session() as session:
        permissions.require(actor, "audit.export")
        why = rules(session).consultation_reason("export", reason)
        audit.record(session, actor, "disclosure", "audit.exported", recipient=recipient, reason=why)
    count = 0
    with opened.reader() as session, closing(rows(session)) as found, files.atomic_writer(path) as file:
        for row in found:
            file.write(canonical_json({name: row[name] for name in COLUMNS}).encode() + b"\n")
            count += 1
    return count


def verify_file(path: Path) -> Verified:
    """Check an exported log by itself: every edit, deletion inside it and reordering; not a cut end.

    Raises IntegrityError as `check`, also for a line that is no entry.
    """

    def lines() -> Iterator[dict[str, Any]]:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                try:
                    row = json.loads(line)
                    yield {name: row[name] for name in COLUMNS}
                except (ValueError, KeyError, TypeError) as error:
                    raise IntegrityError(f"Line {number} is not an entry of the audit log.") from error

    count, head = check(lines(), {})
    return Verified(count, head, 0)


def anchor(session: Session, actor: Actor) -> None:
    """Check that the actor may write an anchor, and log it; `anchors.write` follows the commit."""
    permissions.require(actor, "audit.anchor")
    audit.record(
        session, actor, "alteration", "audit.anchored", object_=str(anchors.path(store(session).settings).name)
    )
