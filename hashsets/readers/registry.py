"""The registry of readers: which formats can be read, and which one a file is."""

from __future__ import annotations

from hashsets.readers import delimited
from hashsets.readers.base import Batch, Detection, HashSetReader, Source
from hashsets.readers.exported import CaseUcoReader, ExportedReader
from hashsets.readers.icse import IcseReader
from hashsets.readers.lists import ListReader
from hashsets.readers.ncmec import NcmecReader
from hashsets.readers.nsrl import NsrlSqliteReader, NsrlTextReader
from hashsets.readers.threatexchange import ThreatExchangeReader
from hashsets.readers.vics import VicsReader
from hashsets.readers.vpdq import VpdqReader
from pipeline.errors import InputError

READERS: dict[str, HashSetReader] = {
    r.name: r
    for r in (
        VicsReader(),
        NcmecReader(),
        IcseReader(),
        NsrlSqliteReader(),
        NsrlTextReader(),
        ExportedReader(),
        CaseUcoReader(),
        VpdqReader(),
        ListReader(),
        ThreatExchangeReader(),
    )
}
"""Every reader by name, in the order in which detection asks them."""

__all__ = ["READERS", "Batch", "Detection", "HashSetReader", "Source", "detect"]


def detect(source: Source, declared: str | None = None) -> Detection:
    """What the file is; `declared` names the only reader to ask.

    Raises InputError naming what was seen for an empty file, an unknown format, or one that is not what was declared.
    """
    head = source.head()
    if not head.strip(b"\xef\xbb\xbf \t\r\n\0"):
        raise InputError(f"{source.path.name} is empty.", "Ask the sender for a complete file.")
    asked = [READERS[declared]] if declared else list(READERS.values())
    for reader in asked:
        found = reader.detect(head, source)
        if found is not None:
            return found
    if head.startswith(delimited.UTF16):
        raise InputError(
            f"{source.path.name} is UTF-16 text, which only lists with a declared column mapping may be.",
            "Save it as UTF-8, as JSON and XML are exchanged.",
        )
    if head.lstrip().upper().startswith((b"BEGIN TRANSACTION", b"INSERT INTO", b"DELETE FROM", b"UPDATE ", b"PRAGMA ")):
        raise InputError(
            f"{source.path.name} holds SQL statements, as the deltas of NSRL do; they are not run here.",
            "Apply them to the last full database (`sqlite3 RDS.db < delta.sql`) and import that.",
        )
    raise InputError(
        f"{source.path.name} is not {'of the declared format ' + declared if declared else 'a known hash-set format'}: "
        f"it begins with {head[:48]!r}.",
        f"Known formats: {', '.join(READERS)}; lists need a column mapping in policy/hashsets.yaml.",
    )
