"""The terms under which a referral can be found: its reference, names, accounts, devices and stated hashes, folded."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from pipeline import unseen
from pipeline.algorithms import STATED


def folded(text: str) -> str:
    """A value as it is looked up: one case, one form of each character, single spaces, nothing unseen."""
    plain = unicodedata.normalize("NFKC", unseen.without(text)).casefold()
    return " ".join(plain.split())


def terms(table: str, row: dict[str, Any]) -> Iterable[tuple[str, str, str]]:
    """What a row of the lake can be found by: (folded term, kind, the value as given)."""
    if table == "referrals" and row["source_reference"]:
        yield folded(row["source_reference"]), "reference", row["source_reference"]
    elif table == "identifiers":
        given = row["original"] or row["value"]
        for value in {folded(row["value"] or ""), folded(row["original"] or "")} - {""}:
            yield value, row["kind"], given
    elif table == "subjects" and row["name"]:
        for word in dict.fromkeys(re.findall(r"\w+", folded(row["name"]))):
            yield f"name:{word}", "name", row["name"]
    elif table == "media_files":
        for name in STATED:
            if row.get(f"claimed_{name}"):
                yield f"{name}:{row[f'claimed_{name}'].hex()}", "stated hash", row["name"] or row["file_id"]
