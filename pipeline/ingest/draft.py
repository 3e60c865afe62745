"""A referral while it is being read: rows without ids yet, and every defect met on the way.

`Fields` reads one object of a report field by field. What a rule has read is taken out of the tree; what is left in
the end was read by no rule, or could not be used, and is kept verbatim (`residue`). So nothing of a report is lost,
and a new key of a sender shows up by itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from pipeline.ingest import values
from pipeline.ingest.values import Moment, UnusableError, UnusablePortError

Row = dict[str, Any]


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

    def time(self, name: str, moment: Moment | None) -> None:
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
        seen: Moment | None = None,
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
        try:
            value, port_seen = self._normalised(kind, original)
        except UnusablePortError as error:
            value, port_seen = error.address, None
            self.defect(path, f"The address is used without its port: {error}.", original)
        except UnusableError as error:
            self.unusable_identifiers += 1
            self.defect(path, f"Not usable as {_KIND_WORDS.get(kind, kind)}: {error}.", _with(original, port, seen))
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
            return values.ip_and_port(original)
        if kind == "email":
            return values.email(original), None
        if kind == "phone":
            return values.phone(original, self.phone_region), None
        if kind == "device":
            return values.device(original), None
        if kind == "vehicle":
            return values.registration(original), None
        return values.handle(original), None


_KIND_WORDS = {
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


class Fields:
    """One object of a report, read field by field; defects go to the draft with their JSON pointer or XPath."""

    __slots__ = ("data", "draft", "path")

    def __init__(self, draft: Draft, data: dict[str, Any], path: str = "") -> None:
        self.draft = draft
        self.data = data
        self.path = path

    def at(self, key: str) -> str:
        """Pointer of a key (RFC 6901 escapes)."""
        if "/" in key or "~" in key:
            key = key.replace("~", "~0").replace("/", "~1")
        return f"{self.path}/{key}"

    def has(self, key: str) -> bool:
        return self.data.get(key) is not None

    def text(self, key: str) -> str | None:
        """Text without surrounding space, or a whole number as text; None when absent or empty."""
        value = self.data.get(key)
        if isinstance(value, str):
            del self.data[key]
            return value.strip() or None
        if value is None:
            self.data.pop(key, None)
            return None
        if isinstance(value, int) and not isinstance(value, bool):
            del self.data[key]
            return str(value)
        if isinstance(value, dict) and "value" in value:  # NCMEC wraps many texts as {"value": ...}
            return Fields(self.draft, value, self.at(key)).text("value")
        self.draft.defect(self.at(key), "Text was expected here.", value)
        return None

    def convert(self, key: str, function: Callable[[str], Any]) -> Any:
        """Text passed through `function`; None, with a defect, when that raises UnusableError."""
        value = self.data.get(key)
        if value is None:
            self.data.pop(key, None)
            return None
        text = self.text(key)
        if text is None:
            return None
        try:
            return function(text)
        except UnusableError as error:
            self.data[key] = value
            self.draft.defect(self.at(key), f"Not usable: {error}.", value)
            return None

    def whole(self, key: str, low: int, high: int) -> int | None:
        """A whole number from `low` to `high`."""
        given = self.data.get(key)
        if type(given) is int and low <= given <= high:
            del self.data[key]
            return given

        def number(text: str) -> int:
            digits = text.removeprefix("-")
            if not (digits.isascii() and digits.isdigit() and len(digits) < 19 and low <= int(text) <= high):
                raise UnusableError(f"a whole number from {low} to {high} was expected")
            return int(text)

        value: int | None = self.convert(key, number)
        return value

    def tri(self, key: str) -> str:
        """yes, no or unknown."""
        value = self.data.get(key)
        if value is None or isinstance(value, bool):
            self.data.pop(key, None)
            return values.UNKNOWN if value is None else values.YES if value else values.NO
        try:
            answer = values.tri_state(value)
        except UnusableError as error:
            self.draft.defect(self.at(key), f"Not usable: {error}.", value)
            return values.UNKNOWN
        del self.data[key]
        return answer

    def moment(self, key: str, zone: str = "") -> Moment | None:
        """A time, or None when the key is absent. Ambiguous and unreadable times are noted as defects."""
        text = self.text(key)
        if text is None:
            return None
        read = values.moment(text, zone)
        if read.problem:
            self.draft.defect(self.at(key), f"No certain time: {read.problem}.", text)
        return read

    def birth(self, key: str) -> str | None:
        """A date of birth; one that cannot be read with certainty stays as given and is noted."""
        text = self.text(key)
        if text is None:
            return None
        read = values.date_of_birth(text)
        if not values.is_date(read):
            self.draft.defect(self.at(key), "No certain date of birth; write it as 1980-02-03.", text)
        return read

    def port(self, key: str) -> Port | None:
        """A port with its original text, or None when the key is absent."""
        given = self.data.get(key)
        value: int | None = self.convert(key, values.port_number)
        return None if given is None or given == "" else Port(value, str(given))

    def digest(self, key: str, name: str) -> bytes | None:
        given = self.data.get(key)
        if isinstance(given, str):  # nearly every digest; `convert` says what is wrong with the others
            try:
                found = values.digest(given, name)
            except UnusableError:
                pass
            else:
                del self.data[key]
                return found
        value: bytes | None = self.convert(key, lambda text: values.digest(text, name))
        return value

    def fact(self, key: str, name: str, subject: int | None = None, detail: str | None = None) -> str:
        """State a fact from a yes/no key when the key is there."""
        if key not in self.data:
            return values.UNKNOWN
        answer = self.tri(key)
        self.draft.fact(name, answer, self.at(key), subject=subject, detail=detail)
        return answer

    def child(self, key: str) -> Fields:
        """The object below a key; an empty one when it is absent or, with a defect, no object."""
        value = self.data.get(key)
        if isinstance(value, dict):
            return Fields(self.draft, value, self.at(key))
        if value is not None and value != "":
            self.draft.defect(self.at(key), "An object with fields was expected here.", value)
        elif key in self.data:
            del self.data[key]
        return Fields(self.draft, {}, self.path)

    def each(self, key: str, inner: str | None = None) -> Iterator[Fields]:
        """The objects in the list below a key. `inner` names the list inside an object of the nested form
        (`emails.emails`); the flat form and a single object are read too. Bare text becomes `{"value": text}`."""
        items = self.data.get(key)
        if items is None or items == "":
            self.data.pop(key, None)
            return
        path = self.at(key)
        if inner and isinstance(items, dict) and inner in items:
            items, path = items[inner], f"{path}/{inner}"
        if isinstance(items, dict):
            if items:  # an empty object is an empty list
                yield Fields(self.draft, items, path)
            return
        if not isinstance(items, list):
            if items is None:
                return
            items = self.data[key] = [items]
        for position, item in enumerate(items):
            if isinstance(item, dict):
                yield Fields(self.draft, item, f"{path}/{position}")
            elif isinstance(item, str | int) and not isinstance(item, bool):
                items[position] = {"value": item}
                yield Fields(self.draft, items[position], f"{path}/{position}")
            elif item is not None:
                self.draft.defect(f"{path}/{position}", "An object with fields was expected here.", item)

    def texts(self, key: str) -> list[str]:
        """A list of texts (or one text)."""
        if key not in self.data:
            return []
        return [text for item in self.each(key) if (text := item.text("value")) is not None]


def residue(tree: Any) -> Any:
    """What is left of a report after reading: empty objects, lists and nulls pruned, list entries keyed by position.

    None when nothing is left. Numbers that JSON cannot write become text.
    """
    if isinstance(tree, dict):
        kept = {}
        for key, value in tree.items():
            if value or value not in _NOTHING:  # most of what is read leaves an empty object behind
                left = residue(value) if isinstance(value, _NESTED) else value
                if left is not None:
                    kept[str(key)] = left
        return kept or None
    if isinstance(tree, list):
        numbered = {}
        for n, value in enumerate(tree):
            if value or value not in _NOTHING:
                left = residue(value) if isinstance(value, _NESTED) else value
                if left is not None:
                    numbered[str(n)] = left
        if len(numbered) == len(tree):
            return list(numbered.values()) or None
        return numbered or None
    if isinstance(tree, float) and not math.isfinite(tree):
        return str(tree)
    return tree if tree != "" else None


_NESTED = (dict, list, float)
_NOTHING: tuple[Any, ...] = (None, "", {}, [])
"""What is left where everything was read. Zero and False are none of them."""


def _with(original: str | None, port: Port | None, seen: Moment | None) -> str:
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
