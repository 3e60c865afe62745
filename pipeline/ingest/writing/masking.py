"""Takes the names that a covert source uses out of everything that is not in the source's compartment.

What stays as it is: the original report (in the compartment), the path of a file or package in landing, under which
the media worker opens it, and the reference, by which a report is known again.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from pipeline import unseen
from pipeline.ingest.reports.draft import Draft
from pipeline.row import Row

_OF_A_PERSON = ("username", "user_id", "display_name")

_AS_IT_IS = {
    "referrals": frozenset({"source_reference", "compartment"}),
    "identifiers": frozenset({"kind", "value", "original"}),
    "facts": frozenset({"name", "value"}),
    "narratives": frozenset({"kind", "compartment"}),
    "files": frozenset({"name", "alias", "path"}),
}
"""Columns that keep their text, by list of the draft: those by which a thing is known or found. A file's name is masked
once the file was found; an identifier that is such a name is withheld."""

_LETTER = r"[^\W\d_]"
_EDGE = r"[\s/@:?=&#]"
_PARTS = re.compile(r"\d+|[^\W\d_]+|[\W_]+")
_CAPITAL = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])")
_BETWEEN = r"[\W_]{0,3}"
_UNSEEN = f"[\u0300-\u036f{unseen.CHARACTERS}]*"


def _alike() -> dict[str, str]:
    """A plain letter or digit to the accented, wide and other forms of it that a reader takes for the same."""
    found: dict[str, str] = defaultdict(str)
    for code in (*range(0xA0, 0x250), *range(0x1E00, 0x1F00), *range(0x2070, 0x20A0), *range(0xFF01, 0xFF5F)):
        plain = unicodedata.normalize("NFKD", chr(code))[0].casefold()
        if plain.isalnum() and plain != chr(code):
            found[plain] += chr(code)
    return found


_ALIKE = _alike()


@dataclass(frozen=True)
class Covert:
    """Finds the names of a covert source: `within` a text, and as the whole or a part of an identifier."""

    within: re.Pattern[str]
    identifier: re.Pattern[str]


def covert(personas: list[str]) -> Covert | None:
    """Patterns for the names. In a text a name counts in any case and spelling (`_spelled`) where no letter stands beside
    it, so that a suspect called Samuel is not masked for a persona called Sam; one of a single character only as the whole
    text. In an identifier it counts, in any case, as the whole of it, or as one part of an address."""
    bare = {form for p in personas for form in (p.strip(), p.strip().removeprefix("@")) if form}
    ordered = sorted(bare, key=lambda n: (-len(n), n))
    names = "|".join(f"{re.escape(n)}|{_spelled(n)}" for n in ordered if len(n) > 1)
    whole = "|".join(re.escape(n) for n in sorted(bare))
    if not bare:
        return None
    inside = rf"|(?<!{_LETTER})(?:{names})(?!{_LETTER})" if names else ""
    return Covert(
        re.compile(rf"\A\s*(?:{whole})\s*\Z{inside}", re.IGNORECASE),
        re.compile(rf"(?:\A|{_EDGE})(?:{whole})(?:\Z|{_EDGE})", re.IGNORECASE),
    )


def _spelled(name: str) -> str:
    """A pattern for a name as people write it: accents or none, wide or unseen characters, and its parts (words, numbers,
    what begins with a capital) together or with up to three characters between them that are no letter and no digit."""
    parts = [p for found in _PARTS.findall(name) for p in _CAPITAL.split(found) if any(map(str.isalnum, p))]
    return _BETWEEN.join(map(_part, parts)) or re.escape(name)


def _part(text: str) -> str:
    plain = (c for c in unicodedata.normalize("NFKD", text).casefold() if not unicodedata.combining(c))
    return "".join(f"[{re.escape(c)}{_ALIKE.get(c, '')}]{_UNSEEN}" for c in plain)


def mask(draft: Draft) -> None:
    """Mask the draft's `personas` in all its rows, and withhold the identifiers of the persons who bear these names.

    Of a suspect only identifiers that are such a name, letter by letter, are withheld: neither a slip of the sender nor a
    likeness must hide a suspect.
    """
    found = covert(draft.personas)
    if found is None:
        return
    draft.covert = found.within
    suspects = {n for n, s in enumerate(draft.subjects) if s["role"] == "suspect"}
    named = {
        id(i)
        for i in draft.identifiers
        if found.identifier.search(i["original"])
        or (i["subject"] not in suspects and found.within.search(i["original"]))
    }
    persons = {i["subject"] for i in draft.identifiers if id(i) in named and i["kind"] in _OF_A_PERSON}
    persons |= {n for n, s in enumerate(draft.subjects) if found.within.fullmatch((s.get("name") or "").strip())}
    persons -= {None, *suspects}
    kept = [i for i in draft.identifiers if id(i) not in named and i["subject"] not in persons]
    draft.withheld_identifiers += len(draft.identifiers) - len(kept)
    draft.identifiers = kept
    open_texts = [row for row in draft.narratives if row.get("compartment") is None]
    for name, rows in (
        ("referrals", [draft.referral]),
        ("subjects", draft.subjects),
        ("identifiers", draft.identifiers),
        ("facts", draft.facts),
        ("defects", draft.defects),
        ("files", draft.files),
        ("narratives", open_texts),
        ("times", list(draft.times.values())),
    ):
        for row in rows:
            _mask_row(draft, row, _AS_IT_IS.get(name, frozenset()))


def _mask_row(draft: Draft, row: Row, kept: frozenset[str]) -> None:
    for column, value in row.items():
        if column not in kept:
            row[column] = _masked(draft, value)


def _masked(draft: Draft, value: Any) -> Any:
    if isinstance(value, str):
        return draft.hide(value)
    if isinstance(value, dict):
        return {draft.hide(key): _masked(draft, below) for key, below in value.items()}
    if isinstance(value, list):
        return [_masked(draft, below) for below in value]
    return value
