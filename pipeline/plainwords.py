"""Which short values of a report everybody may read, and which are words of whoever wrote it.

Marks (how a referral is to be handled, how urgent its sender calls it, what happened at an address) and the original text of a
time or port are taken from a report as they stand there, so that anything can be written in them. A mark that policy/ingest.yaml
lists, and a text with nothing in it but what times are written with, say no more than they are there for. Every other one is a
text, as chats and narratives are: for those who may open texts, and logged as that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache, reduce
from typing import Any
from zoneinfo import available_timezones

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import policy
from pipeline.jsontext import canonical_json
from pipeline.row import Row
from pipeline.settings import Settings

COLUMNS: dict[str, tuple[str, ...]] = {
    "referrals": ("priority", "handling", "times_original"),
    "identifiers": ("event", "port_original", "seen_at_original", "seen_at_zone"),
    "media_files": ("uploaded_at_original", "uploaded_at_zone"),
}
"""Such columns by table of the lake."""
_MARKS = frozenset({"priority", "handling", "event"})
_TIMES = "times_original"
"""The original texts of all stage times of a referral, as JSON: name -> original, zone, ambiguous."""
_PARTS = ("original", "zone")
_SHORT = (
    "t z ut utc gmt bst ist wet west cet cest eet eest est edt cst cdt mst mdt pst pdt am pm st nd rd th date jan feb mar apr may jun"
    " jul aug sep sept oct nov dec january february march april june july august september october november december mon tue tues"
    " wed thu thur thurs fri sat sun monday tuesday wednesday thursday friday saturday sunday"
)
"""Words that times are written with: zones, months, days of the week, `/Date(0)/`."""
_NUMBERS = "^[0-9TZ:.+ -]*$"
"""Nearly every time, for RE2."""
_OF_TIMES = re.compile(r"[0-9A-Za-z:.,/+()\[\]_ -]*")
_WORD = re.compile(r"[A-Za-z]+(?:[/_-][A-Za-z]+)*")


@cache
def _words() -> frozenset[str]:
    return frozenset(_SHORT.split()) | {name.lower() for name in available_timezones() if "/" in name}


def is_time(text: str) -> bool:
    """Whether there is nothing in a text but numbers and what times are written with."""
    if _OF_TIMES.fullmatch(text) is None:
        return False
    return all(word.lower() in _words() for word in _WORD.findall(text))


class PlainWords:
    """Tells them by the policy's lists of marks."""

    def __init__(self, marks: Mapping[str, Sequence[str]]) -> None:
        self._marks = {name: frozenset(map(_form, listed)) for name, listed in marks.items()}

    def is_text(self, column: str, value: Any) -> bool:
        """Whether one value of such a column is a text; `times_original` as the object that it is."""
        if value is None:
            return False
        if column == _TIMES:
            return any(self.is_text(part, given.get(part)) for given in value.values() for part in _PARTS)
        if column in _MARKS:
            return _form(value) not in self._marks[column]
        return not is_time(value)

    def texts(self, column: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
        """Which values of such a column as the lake has it are texts: a mask without nulls."""
        read = orjson.loads if column == _TIMES else str
        asked = values if column in _MARKS or column == _TIMES else _without_numbers(values)
        found = [v for v in pc.unique(asked).to_pylist() if v is not None and self.is_text(column, read(v))]
        return pc.is_in(values, value_set=pa.array(found, pa.string()))

    def without(self, column: str, values: pa.ChunkedArray, texts: pa.ChunkedArray) -> pa.ChunkedArray:
        """The column without its `texts` (mask); of stage times those stay that are none."""
        empty = pc.if_else(texts, pa.scalar(None, pa.string()), values)
        if column != _TIMES or not pc.any(texts).as_py():
            return empty
        changed = [canonical_json(self.times(orjson.loads(v), None)) for v in values.filter(texts).to_pylist()]
        return pc.replace_with_mask(empty.combine_chunks(), texts.combine_chunks(), pa.array(changed, pa.string()))

    def times(self, given: Mapping[str, Row], instead: str | None) -> dict[str, Row]:
        """`times_original` with `instead` in the place of texts."""
        return {
            name: {**row, **{part: instead for part in _PARTS if self.is_text(part, row.get(part))}}
            for name, row in given.items()
        }

    def shown(self, table: str, row: Row, instead: str) -> Row:
        """A row of the lake, JSON read, with `instead` in the place of such texts."""
        hidden: Row = {c: instead for c in COLUMNS[table] if c != _TIMES and self.is_text(c, row.get(c))}
        if row.get(_TIMES):
            hidden[_TIMES] = self.times(row[_TIMES], instead)
        return {**row, **hidden}


def of(settings: Settings) -> PlainWords:
    """As policy/ingest.yaml has it. Raises SettingsError."""
    return PlainWords(policy.load(settings, "ingest").data["marks"])


def any_of(masks: Sequence[pa.ChunkedArray]) -> pa.ChunkedArray:
    """Where any of some masks holds."""
    return reduce(pc.or_, masks)


def _without_numbers(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return values.filter(pc.invert(pc.match_substring_regex(values, _NUMBERS)))


def _form(text: str) -> str:
    return " ".join(text.split()).casefold()
