"""Anchors of the audit chain: its head, signed and appended to a file outside the store.

The chain alone does not show a cut tail or a rewrite from the first entry on; an anchor taken before does, as long as
its file lies where whoever can change the store cannot (another machine, write-once storage; policy/cases.yaml or TRIAGE_ANCHORS names it).
Each line holds the head's number and hash, the time, and an HMAC over these and the line before it. A night writes into
the log how many anchors there are to be after it (`promise`), so that a file which is gone, emptied or begun anew shows.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from pipeline import files, policy
from pipeline.errors import IntegrityError
from pipeline.jsontext import canonical_json
from pipeline.settings import Settings
from pipeline.store import secret
from pipeline.store.opening import Store
from pipeline.store.people_tables import AuditHead


@dataclass(frozen=True)
class Anchor:
    """One line of the anchor file."""

    seq: int
    hash: str
    at: str
    mac: str


def path(settings: Settings) -> Path:
    """The anchor file: TRIAGE_ANCHORS where it is set, else what policy/cases.yaml names (`audit/anchors`), else one in TRIAGE_HOME.

    Raises SettingsError for a policy file that cannot be read.
    """
    if settings.anchors is not None:
        return settings.anchors
    named = policy.load(settings, "cases").data.get("audit", {}).get("anchors")
    return settings.home / (named or "audit-anchors.jsonl")


def write(store: Store) -> Anchor | None:
    """Append an anchor for the chain's present head; None when the newest anchor is for this head already.

    Raises IntegrityError when the anchor file's last line is not one of ours.
    """
    file_path, key = path(store.settings), secret.derive(store.settings, "audit-anchors")
    files.make_folder(file_path.parent)
    with file_path.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        lines = list(_parse(file_path))
        with store.reader() as session:
            head = session.execute(select(AuditHead.seq, AuditHead.hash)).one()
        if lines and lines[-1].seq == head.seq and lines[-1].hash == head.hash:
            return None
        at = store.clock().isoformat()
        anchor = Anchor(head.seq, head.hash, at, _mac(key, head.seq, head.hash, at, lines[-1].mac if lines else ""))
        file.write(json.dumps({"seq": anchor.seq, "hash": anchor.hash, "at": at, "mac": anchor.mac}) + "\n")
        file.flush()
        os.fsync(file.fileno())
        return anchor


def promise(settings: Settings) -> int:
    """What a night that publishes writes into the log: the number of anchors that there are with the one it is to write.

    Raises IntegrityError when a line of the anchor file cannot be read.
    """
    file_path = path(settings)
    return (sum(1 for _ in _parse(file_path)) if file_path.is_file() else 0) + 1


def read(settings: Settings) -> list[Anchor]:
    """All anchors, checked. Raises IntegrityError naming the first line that is damaged, forged or out of order."""
    file_path = path(settings)
    if not file_path.is_file():
        return []
    key, before, least = secret.derive(settings, "audit-anchors"), "", 0
    anchors = []
    for number, anchor in enumerate(_parse(file_path), start=1):
        if not hmac.compare_digest(_mac(key, anchor.seq, anchor.hash, anchor.at, before), anchor.mac):
            raise IntegrityError(f"Line {number} of the anchor file is not what was written.", _REMEDY)
        if anchor.seq < least:
            raise IntegrityError(f"Line {number} of the anchor file goes back: the log was cut or replaced.", _REMEDY)
        before, least = anchor.mac, anchor.seq
        anchors.append(anchor)
    return anchors


_REMEDY = "Compare with the copy outside this machine."


def _parse(file_path: Path) -> Iterator[Anchor]:
    for number, line in enumerate(file_path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            data: dict[str, Any] = json.loads(line)
            yield Anchor(int(data["seq"]), str(data["hash"]), str(data["at"]), str(data["mac"]))
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityError(f"Line {number} of the anchor file cannot be read.", _REMEDY) from error


def _mac(key: bytes, seq: int, hash_: str, at: str, before: str) -> str:
    return hmac.new(key, canonical_json([seq, hash_, at, before]).encode(), hashlib.sha256).hexdigest()
