"""Words of senders that the policy does not know: incident types, priority marks, kinds of offers. Listed, so that somebody
maps them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import policy
from pipeline.assess.models.model import Model
from pipeline.ingest.sources.ucol import by_words
from pipeline.lake import Lake
from pipeline.settings import Settings

LISTED = 10
"""Words that the report names; the rest are counted."""
_WORD = r"(?:[A-Z0-9][A-Za-z0-9]*|and|for|in|of|on|or|the|to|with)"
_PLAIN = re.compile(rf"(?=.{{1,80}}$){_WORD}(?:[ ,()/'&-]+{_WORD})*\)?")
"""What may be shown: a type's name as lists of types write it (each word begins with a capital), never a sentence."""


def found(settings: Settings, model: Model, lake: Lake) -> dict[str, str]:
    """What the run report says of NCMEC's incident types, of all senders' priority marks and of the kinds of offers in UCOL
    referrals that no rule reads; empty when every one is mapped. Referrals in a compartment are left out: the report is
    for everybody.
    """
    rows = _open(lake.read("referrals", ["source", "report_type", "priority", "compartment"]))
    of_ucol = lake.read("referrals", ["source", "extension", "compartment"], where=("source", pa.array(["UCOL"])))
    words = policy.load(settings, "ingest").data
    mapped = {name.casefold() for name in words["incident_types"]}
    of_ncmec = rows.filter(pc.equal(rows["source"], "NCA_NCMEC"))
    types = [t for t in pc.unique(of_ncmec["report_type"]).to_pylist() if t]
    marks = [m for m in pc.unique(rows["priority"]).to_pylist() if m]
    unknown = {
        "incident_types_not_mapped": [t for t in types if " ".join(t.split()).casefold() not in mapped],
        "priorities_not_mapped": [m for m in marks if model.reading.level(m) is None],
        "offers_not_mapped": sorted(set(_offers(_open(of_ucol), words["offers"]))),
    }
    return {name: _listed(listed) for name, listed in unknown.items() if listed}


def _open(rows: pa.Table) -> pa.Table:
    return rows.filter(pc.is_null(rows["compartment"]))


def _offers(rows: pa.Table, offers: Mapping[str, list[str]]) -> Iterator[str]:
    """Kinds of offers in referrals of UCOL that have none of the policy's words."""
    rows = rows.filter(pc.equal(rows["source"], "UCOL"))
    for text in pc.unique(rows["extension"]).drop_null().to_pylist():
        for offer in orjson.loads(text).get("ucol", {}).get("offers_of_contact") or ():
            kind = offer.get("kind")
            if kind and not by_words(offers, kind):
                yield kind


def _listed(words: list[str]) -> str:
    shown = sorted(w for w in words if _PLAIN.fullmatch(w))[:LISTED]
    rest = len(words) - len(shown)
    return "; ".join([*shown, *([f"and {rest} more" if shown else f"{rest} that are no plain words"] if rest else [])])
