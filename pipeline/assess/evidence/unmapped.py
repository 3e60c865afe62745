"""Words of senders that the policy does not know: incident types, priority marks, kinds of offers. Listed, so that somebody
maps them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import policy
from pipeline.assess.models.model import Model
from pipeline.ingest.sources.ucol import by_words
from pipeline.lake import Lake
from pipeline.lake.kept.extracts import Extract
from pipeline.settings import Settings

LISTED = 10
"""Words that the report names; the rest are counted."""
_WORD = r"(?:[A-Z0-9][A-Za-z0-9]*|and|for|in|of|on|or|the|to|with)"
_PLAIN = re.compile(rf"(?=.{{1,80}}$){_WORD}(?:[ ,()/'&-]+{_WORD})*\)?")
"""What may be shown: a type's name as lists of types write it (each word begins with a capital), never a sentence."""


KINDS = ("type", "mark", "offer")
SAID = pa.table({"kind": pa.array([], pa.string()), "word": pa.array([], pa.string())})


def found(settings: Settings, model: Model, lake: Lake) -> dict[str, str]:
    """What the run report says of NCMEC's incident types, of all senders' priority marks and of the kinds of offers in UCOL
    referrals that no rule reads; empty when every one is mapped. Referrals in a compartment are left out: the report is
    for everybody.
    """
    said = pa.concat_tables([SAID, *(words for _, words in lake.extract(WORDS))])
    types, marks, offers = (_of(said, kind) for kind in KINDS)
    words = policy.load(settings, "ingest").data
    mapped = {name.casefold() for name in words["incident_types"]}
    unknown = {
        "incident_types_not_mapped": [t for t in types if " ".join(t.split()).casefold() not in mapped],
        "priorities_not_mapped": [m for m in marks if model.reading.level(m) is None],
        "offers_not_mapped": [o for o in offers if not by_words(words["offers"], o)],
    }
    return {name: _listed(listed) for name, listed in unknown.items() if listed}


def _words(rows: pa.Table) -> pa.Table:
    """The words of some referrals, each once: what kind of word and the word, in the order in which they came."""
    rows = rows.filter(pc.is_null(rows["compartment"]))
    types = pc.unique(rows.filter(pc.equal(rows["source"], "NCA_NCMEC"))["report_type"]).to_pylist()
    offers = dict.fromkeys(_offers(pc.unique(rows.filter(pc.equal(rows["source"], "UCOL"))["extension"]).drop_null()))
    found = zip(KINDS, (types, pc.unique(rows["priority"]).to_pylist(), offers), strict=True)
    listed = [(kind, word) for kind, some in found for word in some if word]
    return pa.table({"kind": [k for k, _ in listed], "word": [w for _, w in listed]}, schema=SAID.schema)


def _offers(extensions: pa.ChunkedArray) -> Iterator[str | None]:
    """Kinds of the offers in extensions of UCOL's referrals."""
    for text in extensions.to_pylist():
        for offer in orjson.loads(text).get("ucol", {}).get("offers_of_contact") or ():
            yield offer.get("kind")


def _of(said: pa.Table, kind: str) -> list[str]:
    words: list[str] = pc.unique(said.filter(pc.equal(said["kind"], kind))["word"]).to_pylist()
    return words


def _listed(words: list[str]) -> str:
    shown = sorted(w for w in words if _PLAIN.fullmatch(w))[:LISTED]
    rest = len(words) - len(shown)
    return "; ".join([*shown, *([f"and {rest} more" if shown else f"{rest} that are no plain words"] if rest else [])])


WORDS = Extract("referrals", "words-1", ("source", "report_type", "priority", "compartment", "extension"), _words)
"""All words that a report may have to list: which of them are mapped follows from the policy of the night."""
