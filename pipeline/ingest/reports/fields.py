"""One object of a report, read field by field.

What a rule has read is taken out of the tree; what is left in the end was read by no rule, or could not be used, and is
kept verbatim (`residue`). So nothing of a report is lost, and a new key of a sender shows up by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from pipeline.ingest.reports import values
from pipeline.ingest.reports.draft import Draft, Port
from pipeline.ingest.reports.values import UnusableError, WrittenMoment


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
        value = self.data.pop(key, None)
        if type(value) is str:
            return value.strip() or None
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
            return str(int(value))  # many programs write 12 as 12.0
        self.data[key] = value
        if isinstance(value, dict) and "value" in value:  # NCMEC wraps many texts as {"value": ...}
            return Fields(self.draft, value, self.at(key)).text("value")
        self.draft.defect(self.at(key), "Text was expected here.", value)
        return None

    def convert(self, key: str, function: Callable[[str], Any]) -> Any:
        """Text passed through `function`; None, with a defect, when that raises UnusableError."""
        if key not in self.data:
            return None
        value, text = self.data[key], self.text(key)
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
        value = self.data.pop(key, None)
        if value is None or isinstance(value, bool):
            return values.UNKNOWN if value is None else values.YES if value else values.NO
        if type(value) is str and value in _ANSWERS:
            return value
        try:
            return values.tri_state(value)
        except UnusableError as error:
            self.data[key] = value
            self.draft.defect(self.at(key), f"Not usable: {error}.", value)
            return values.UNKNOWN

    def moment(self, key: str, zone: str = "") -> WrittenMoment | None:
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
            return _NO_FIELDS
        return self._each(key, items, inner)

    def _each(self, key: str, items: Any, inner: str | None) -> Iterator[Fields]:
        holder, path = self.data, self.at(key)
        if inner and isinstance(items, dict) and inner in items:
            holder, key, items, path = items, inner, items[inner], f"{path}/{inner}"
        if isinstance(items, dict):
            if items:  # an empty object is an empty list
                yield Fields(self.draft, items, path)
            return
        if not isinstance(items, list):
            if items is None:
                return
            items = holder[key] = [items]
        odd = False
        for position, item in enumerate(items):
            if isinstance(item, dict):
                yield Fields(self.draft, item, f"{path}/{position}")
            elif isinstance(item, str | int) and not isinstance(item, bool):
                items[position] = {"value": item}
                yield Fields(self.draft, items[position], f"{path}/{position}")
            elif item is not None:
                self.draft.defect(f"{path}/{position}", "An object with fields was expected here.", item)
                odd = True
        if not odd and not any(items):
            holder.pop(key, None)  # everything in it was read: `residue` need not look into it

    def texts(self, key: str) -> list[str]:
        """A list of texts (or one text)."""
        given = self.data.get(key)
        if type(given) is list and _TEXT_ALONE.issuperset(map(type, given)):
            del self.data[key]
            return [text for item in given if (text := item.strip())]
        return [text for item in self.each(key) if (text := item.text("value")) is not None]


def residue(tree: Any) -> Any:
    """What is left of a report after reading: empty objects, lists and nulls pruned, list entries keyed by position.

    None when nothing is left. Numbers that JSON cannot write become text.
    """
    if isinstance(tree, dict):
        kept = {}
        for key, value in tree.items():
            if value or type(value) in _NUMBERS:  # most of what is read leaves an empty object behind
                left = residue(value) if isinstance(value, _NESTED) else value
                if left is not None:
                    kept[str(key)] = left
        return kept or None
    if isinstance(tree, list):
        numbered = {}
        for n, value in enumerate(tree):
            if value or type(value) in _NUMBERS:
                left = residue(value) if isinstance(value, _NESTED) else value
                if left is not None:
                    numbered[str(n)] = left
        if len(numbered) == len(tree):
            return list(numbered.values()) or None
        return numbered or None
    if isinstance(tree, float) and not math.isfinite(tree):
        return str(tree)
    return tree if tree != "" else None


_EXACT = 2.0**53
"""Up to this a whole number that was written with decimals is certainly the one that was meant."""
_ANSWERS = frozenset({values.YES, values.NO, values.UNKNOWN})
_NESTED = (dict, list, float)
_TEXT_ALONE = frozenset({str})
_NUMBERS = frozenset({bool, int, float})
"""Of these zero is a value; nothing is left of any other that is empty."""
_NO_FIELDS: Iterator[Fields] = iter(())
