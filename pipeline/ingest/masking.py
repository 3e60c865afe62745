"""Takes the names that a covert source uses out of everything that is not in the source's compartment.

What stays as it is: the original report (in the compartment), the path of a file or package in landing, under which
the media worker opens it, and the reference, by which a report is known again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pipeline.ingest.draft import Draft, Row

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


@dataclass(frozen=True)
class Covert:
    """Finds the names of a covert source: `within` a text, and as the whole or a part of an identifier."""

    within: re.Pattern[str]
    identifier: re.Pattern[str]


def covert(personas: list[str]) -> Covert | None:
    """Patterns for the names, in any case. In a text a name counts where no letter stands beside it, so that a suspect
    called Samuel is not masked for a persona called Sam; one of a single character only as the whole text. In an
    identifier it counts as the whole of it, or as one part of an address."""
    bare = {form for p in personas for form in (p.strip(), p.strip().removeprefix("@")) if form}
    names = "|".join(re.escape(n) for n in sorted(bare, key=lambda n: (-len(n), n)) if len(n) > 1)
    whole = "|".join(re.escape(n) for n in sorted(bare))
    if not bare:
        return None
    inside = rf"|(?<!{_LETTER})(?:{names})(?!{_LETTER})" if names else ""
    return Covert(
        re.compile(rf"\A\s*(?:{whole})\s*\Z{inside}", re.IGNORECASE),
        re.compile(rf"(?:\A|{_EDGE})(?:{whole})(?:\Z|{_EDGE})", re.IGNORECASE),
    )


def mask(draft: Draft) -> None:
    """Mask the draft's `personas` in all its rows, and withhold the identifiers of the persons who bear these names.

    Of a suspect only identifiers that are such a name are withheld: a slip of the sender must not hide a suspect.
    """
    found = covert(draft.personas)
    if found is None:
        return
    draft.covert = found.within
    named = {id(i) for i in draft.identifiers if found.identifier.search(i["original"])}
    persons = {i["subject"] for i in draft.identifiers if id(i) in named and i["kind"] in _OF_A_PERSON}
    persons |= {n for n, s in enumerate(draft.subjects) if found.identifier.fullmatch((s.get("name") or "").strip())}
    persons = {n for n in persons if n is not None and draft.subjects[n]["role"] != "suspect"}
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
