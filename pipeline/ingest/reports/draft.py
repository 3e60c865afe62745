"""A referral while it is being read: rows without ids yet, and every defect met on the way."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from pipeline.ingest.reports import values
from pipeline.ingest.reports.values import UnusableError, UnusablePortError, WrittenMoment
from pipeline.row import Row


class Port(NamedTuple):
    """A port as it could be read (None when it could not) and as it was given."""

    value: int | None
    original: str


@dataclass
class Draft:
    """What a reader made of one report. `referral` holds columns of the referrals record; the lists hold rows of the
    other records, in which `subject` and `file` are positions in `subjects` and `files` instead of ids."""

    phone_region: str = "GB"
    original_characters: int = 500
    referral: Row = field(default_factory=dict)
    times: dict[str, Row] = field(default_factory=dict)
    subjects: list[Row] = field(default_factory=list)
    identifiers: list[Row] = field(default_factory=list)
    facts: list[Row] = field(default_factory=list)
    narratives: list[Row] = field(default_factory=list)
    files: list[Row] = field(default_factory=list)
    defects: list[Row] = field(default_factory=list)
    prior: list[str] = field(default_factory=list)
    hints: list[Row] = field(default_factory=list)
    """Places of IP addresses as the sender looked them up (`places.hint`)."""
    viewed: set[str] = field(default_factory=set)
    """Answers of the files to whether the provider viewed them."""
    force_stated: str | None = None
    given_identifiers: int = 0
    """Identifiers that the report gives: those in `identifiers`, the unusable and the withheld ones."""
    unusable_identifiers: int = 0
    withheld_identifiers: int = 0
    """Those of a covert source, which are in its compartment only."""
    restricted: str = ""
    """Pointer of a block whose content must not appear in defects or unknown keys; empty when there is none."""

    personas: list[str] = field(default_factory=list)
    """Names that a covert source uses."""
    covert: re.Pattern[str] | None = None
    """Finds them in a text; set by `masking.mask`, from when on `hide` masks them."""

    def hide(self, text: str) -> str:
        """The text with `[covert]` in the place of every name of a covert source."""
        return text if self.covert is None else self.covert.sub("[covert]", text)

    def defect(self, path: str, problem: str, original: Any = None) -> None:
        """Note something that could not be used. Values below the restricted block are withheld."""
        hidden = bool(self.restricted) and path.startswith(self.restricted)
        text = None if original is None or hidden else _shown(self.hide(str(original)), self.original_characters)
        self.defects.append({"field": self.hide(path) or "/", "problem": problem, "original": text})

    def time(self, name: str, moment: WrittenMoment | None) -> None:
        """Set a stage time of the referral and keep its original text."""
        if moment is not None and name not in self.times:
            self.referral[name] = moment.value
            self.times[name] = moment.as_dict()

    def fact(
        self,
        name: str,
        value: str,
        path: str,
        *,
        subject: int | None = None,
        file: int | None = None,
        detail: str | None = None,
    ) -> None:
        """State a fact of policy/facts.yaml."""
        self.facts.append(
            {"name": name, "value": value, "source_path": path, "subject": subject, "file": file, "detail": detail}
        )

    def subject(self, role: str, **columns: Any) -> int:
        """Add a person; returns the position."""
        self.subjects.append({"role": role, **columns})
        return len(self.subjects) - 1

    def identifier(
        self,
        kind: str,
        original: str | None,
        path: str,
        *,
        subject: int | None = None,
        seen: WrittenMoment | None = None,
        port: Port | None = None,
        **columns: Any,
    ) -> None:
        """Add an identifier; one that cannot be normalised becomes a defect, in which the original text of it, its port and
        its time stay. A port or a time of an IP address that is not given does too."""
        if original is None:
            if kind == "ip" and (port or seen):
                self.defect(path, "There is a port or a time here, but no IP address.", _with(None, port, seen))
            return
        self.given_identifiers += 1
        if values.visible(original) != original:
            shown = original.encode("unicode_escape").decode("ascii")
            self.defect(path, "Characters that nobody sees were taken out of this value.", shown)
        try:
            value, port_seen = self._normalised(kind, original)
        except UnusablePortError as error:
            value, port_seen = error.address, None
            self.defect(path, f"The address is used without its port: {error}.", original)
        except UnusableError as error:
            self.unusable_identifiers += 1
            self.defect(path, f"Not usable as {KIND_WORDS.get(kind, kind)}: {error}.", _with(original, port, seen))
            return
        self.identifiers.append(
            {
                "kind": kind,
                "value": value,
                "original": original,
                "port": port.value if port and port.value is not None else port_seen,
                "port_original": port.original if port else None,
                "seen_at": seen.value if seen else None,
                "seen_at_original": seen.original if seen else None,
                "seen_at_zone": seen.zone if seen else None,
                "time_ambiguous": bool(seen and seen.ambiguous),
                "subject": subject,
                **columns,
            }
        )

    def _normalised(self, kind: str, original: str) -> tuple[str, int | None]:
        if kind == "ip":
            return values.ip_and_port(values.visible(original))
        if kind == "email":
            return values.email(original), None
        if kind == "phone":
            return values.phone(original, self.phone_region), None
        if kind == "device":
            return values.device(original), None
        if kind == "vehicle":
            return values.registration(original), None
        return values.handle(original), None


KIND_WORDS = {
    "ip": "an IP address",
    "email": "an e-mail address",
    "phone": "a telephone number",
    "username": "a username",
    "user_id": "a user id",
    "display_name": "a display name",
    "device": "a device id",
    "url": "a web address",
    "vehicle": "a vehicle registration",
    "address": "an address",
}


def _with(original: str | None, port: Port | None, seen: WrittenMoment | None) -> str:
    """The original text of an identifier that cannot be used, with that of its port and its time."""
    parts = [original or "", f"port {port.original}" if port else "", f"at {seen.original}" if seen else ""]
    if seen and seen.zone and not seen.original.endswith(seen.zone):
        parts.append(f"({seen.zone})")
    return " ".join(part for part in parts if part)


def _shown(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def latest(moments: list[datetime | None]) -> datetime | None:
    """The latest of some times, ignoring those that are not known."""
    known = [m for m in moments if m is not None]
    return max(known) if known else None
