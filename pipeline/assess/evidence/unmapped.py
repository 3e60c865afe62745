"""Words of senders that the policy does not know: incident types and priority marks. Listed, so that somebody maps them."""

from __future__ import annotations

import re

import pyarrow.compute as pc

from pipeline import policy
from pipeline.assess.models.model import Model
from pipeline.lake import Lake
from pipeline.settings import Settings

LISTED = 10
"""Words that the report names; the rest are counted."""
_WORD = r"(?:[A-Z0-9][A-Za-z0-9]*|and|for|in|of|on|or|the|to|with)"
_PLAIN = re.compile(rf"(?=.{{1,80}}$){_WORD}(?:[ ,()/'&-]+{_WORD})*\)?")
"""What may be shown: a type's name as lists of types write it (each word begins with a capital), never a sentence."""


def found(settings: Settings, model: Model, lake: Lake) -> dict[str, str]:
    """What the run report says of NCMEC's incident types and of all senders' priority marks that no rule reads; empty when
    every one is mapped."""
    rows = lake.read("referrals", ["source", "report_type", "priority"])
    mapped = {name.casefold() for name in policy.load(settings, "ingest").data["incident_types"]}
    of_ncmec = rows.filter(pc.equal(rows["source"], "NCA_NCMEC"))
    types = [t for t in pc.unique(of_ncmec["report_type"]).to_pylist() if t]
    marks = [m for m in pc.unique(rows["priority"]).to_pylist() if m]
    unknown = {
        "incident_types_not_mapped": [t for t in types if " ".join(t.split()).casefold() not in mapped],
        "priorities_not_mapped": [m for m in marks if model.reading.level(m) is None],
    }
    return {name: _listed(words) for name, words in unknown.items() if words}


def _listed(words: list[str]) -> str:
    shown = sorted(w for w in words if _PLAIN.fullmatch(w))[:LISTED]
    rest = len(words) - len(shown)
    return "; ".join([*shown, *([f"and {rest} more" if shown else f"{rest} that are no plain words"] if rest else [])])
