"""The registry of referral formats: one module per format, tried in this order.

A reader recognises a report by its content and fills a `Draft`; it never raises for a bad value. A new format is one
module with a `READER`, one line here, and the contract test (tests/pipeline/ingest/sources/contract.py) then covers it.
"""

from __future__ import annotations

from functools import cache

from pipeline.ingest.sources import generic, nca_direct, ncmec_json, ncmec_xml, ocag, ucol
from pipeline.ingest.sources.reader import Reader

READERS: tuple[Reader, ...] = (
    nca_direct.READER,
    ucol.READER,
    ocag.READER,
    generic.READER,
    generic.CSV_READER,
    ncmec_json.READER,
    ncmec_xml.READER,
)


def by_name(name: str) -> Reader:
    """The reader of that name. Raises KeyError."""
    return {reader.name: reader for reader in READERS}[name]


@cache
def of_kind(kind: str) -> tuple[Reader, ...]:
    """Readers of a syntax: json, xml or csv."""
    return tuple(reader for reader in READERS if reader.kind == kind)
