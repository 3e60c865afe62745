"""What could identify a covert source: the block `covert_source`, in whichever report it comes.

It goes to the compartment `ucol` and nowhere else: each of its fields becomes a restricted narrative entry, verbatim.
The names in its `personas` are masked in everything else (pipeline/ingest/writing/masking.py). When it is not certain that all
names were read (the block is spelled otherwise, given twice, in another place or of another shape), the whole referral
is restricted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipeline.ingest.reports.draft import Draft
from pipeline.ingest.reports.fields import Fields, residue
from pipeline.ingest.reports.reportrules import ReportRules
from pipeline.ingest.sources.common import narrative
from pipeline.jsontext import canonical_json
from pipeline.senders import SOURCES

COMPARTMENT = str(SOURCES["UCOL"].compartment)
BLOCK = "covert_source"

_SPELLED = re.compile(r"covert[\W_]*source", re.IGNORECASE)
_UNCERTAIN = (
    "The names of the covert source cannot be told with certainty, so the whole referral is restricted. "
    "Give `covert_source` once at the top, with `personas` as a list of texts."
)


def mentioned(content: bytes) -> bool:
    """Whether a report can have such a block at all; quick, since it is asked of every report."""
    return b"overt" in content or (b"V" in content and b"OVERT" in content)


def take(fields: Fields, draft: Draft, rules: ReportRules) -> None:
    """Move every such block out of the tree, once everything else was read."""
    for holder, key in list(_blocks(fields.data)):
        given = holder.pop(key)
        left = residue(given)
        if left is None:
            continue
        draft.restricted = fields.at(BLOCK)
        entries = left if isinstance(left, dict) else {BLOCK: left}
        for name in sorted(entries):
            value = entries[name] if isinstance(entries[name], str) else canonical_json(entries[name])
            path = f"{draft.restricted}/{name}"
            narrative(draft, rules, "note", f"{name}: {value}", path=path, compartment=COMPARTMENT)
        names, certain = _names(given)
        draft.personas += names
        if not certain or key != BLOCK or holder is not fields.data:
            draft.referral["compartment"] = COMPARTMENT
            draft.defect(draft.restricted, _UNCERTAIN)


def _blocks(tree: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Each such block: the object that holds it, and its key."""
    for key, value in sorted(tree.items()) if isinstance(tree, dict) else enumerate(tree):
        if isinstance(key, str) and _SPELLED.match(key):
            yield tree, key
        elif isinstance(value, dict | list):
            yield from _blocks(value)


def _names(block: Any) -> tuple[list[str], bool]:
    """The personas of a block as far as they are texts, and whether those are all: the block has the form's shape."""
    if not isinstance(block, dict):
        return [], False
    given = block.get("personas")
    listed = [p for p in (given if isinstance(given, list) else [given]) if p]
    names = [p for p in listed if isinstance(p, str)]
    others = any(key != "personas" and key.casefold().startswith("persona") for key in block)
    return names, len(names) == len(listed) and not others
